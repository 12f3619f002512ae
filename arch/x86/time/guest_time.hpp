// SPDX-License-Identifier: MIT
// Time as guests compute it from memory [ABI.md 6].
#pragma once

#include "arch/x86/time/clock.hpp"
#include "arch/x86/time/guest_tsc.hpp"
#include "cpu/instructions.hpp"

namespace xylem {

// CPUID leaf 0x40000003 for a guest with this TSC.
cpu::CpuidRegs guest_time_leaf(const GuestTsc& tsc, u32 subleaf);

}  // namespace xylem
