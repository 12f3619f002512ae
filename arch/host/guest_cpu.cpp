// SPDX-License-Identifier: MIT
#include "arch/host/guest_cpu.hpp"

#include <cstdlib>

#include "core/domain/domain.hpp"
#include "core/port/machine.hpp"

// Weak: a build that has PV guests' registers, or the life cycle of domains, has the real ones.
namespace xylem {

namespace port {
[[gnu::weak]] void set_iopl(Vcpu&, u32 iopl) {
    host::guest_cpu.iopl = iopl;
}
[[gnu::weak]] void set_iobitmap(Vcpu&, u64 va, u32 ports) {
    host::guest_cpu.bitmap = va;
    host::guest_cpu.ports = ports;
}
[[gnu::weak]] void dump_guest_state(Vcpu&) {}
}  // namespace port

// Tests own their domains: nobody but they may drop the last reference.
[[gnu::weak]] void free_domain(Domain&) {
    std::abort();
}

}  // namespace xylem
