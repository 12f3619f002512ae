// SPDX-License-Identifier: MIT
// What a guest may have in its debug registers [SDM 3B 18.2]. All else would be ours to suffer.
#pragma once

#include "abi/errno.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"
#include "cpu/layout.hpp"

namespace xylem::pv {

// The current vCPU's, by hypercall or by instruction; 4 and 5 are 6 and 7 unless its CR4.DE says that they do not exist.
// XEN_EPERM for a breakpoint on the hypervisor, on a port, or on the debug registers. XEN_EINVAL where the
// value has more than its 32 bits. XEN_ENODEV: no such register.
Result<> set_debug_register(ArchVcpu& v, u64 number, u64 value);
Result<u64> get_debug_register(const ArchVcpu& v, u64 number);
// Into the CPU: what the guest that is about to run has in them.
void load_debug_registers(const ArchVcpu& v);

// Breakpoints are on the guest's own addresses.
constexpr bool is_guest_breakpoint(u64 va) {
    return layout::is_canonical(va) && !layout::in_hypervisor(va);
}
constexpr u64 sanitised_dr6(u64 value) {
    return (value & 0xe00f) | 0xffff0ff0;
}
// Of what tools restore: no general-detect trap, and no I/O breakpoints (type 2 in a breakpoint's four control bits).
constexpr u64 sanitised_dr7(u64 value) {
    value = (value & 0xffff'07ff) | 0x400;
    for (unsigned i = 0; i < 4; ++i)
        if (((value >> (16 + 4 * i)) & 3) == 2) value &= ~(u64{3} << (2 * i));
    return value;
}

}  // namespace xylem::pv
