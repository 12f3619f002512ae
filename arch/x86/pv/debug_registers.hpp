// SPDX-License-Identifier: MIT
// What a guest may have in its debug registers [SDM 3B 18.2]. All else would be ours to suffer.
#pragma once

#include "cpu/layout.hpp"

namespace xylem::pv {

// Breakpoints are on the guest's own addresses.
constexpr bool is_guest_breakpoint(u64 va) {
    return layout::is_canonical(va) && !layout::in_hypervisor(va);
}
constexpr u64 sanitised_dr6(u64 value) {
    return (value & 0xe00f) | 0xffff0ff0;
}
// No general-detect trap, and no I/O breakpoints (type 2 in a breakpoint's four control bits).
constexpr u64 sanitised_dr7(u64 value) {
    value = (value & 0xffff'd3ff) | 0x400;
    for (unsigned i = 0; i < 4; ++i)
        if (((value >> (16 + 4 * i)) & 3) == 2) value &= ~(u64{3} << (2 * i));
    return value;
}

}  // namespace xylem::pv
