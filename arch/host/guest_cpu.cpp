// SPDX-License-Identifier: MIT
#include "guest_cpu.hpp"

// Weak: a build that has a PV guest's registers does it there.
namespace xylem::port {

[[gnu::weak]] void set_iopl(Vcpu&, u32 iopl) {
    host::guest_cpu.iopl = iopl;
}
[[gnu::weak]] void set_iobitmap(Vcpu&, u64 va, u32 ports) {
    host::guest_cpu.bitmap = va;
    host::guest_cpu.ports = ports;
}

}  // namespace xylem::port
