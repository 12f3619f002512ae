// SPDX-License-Identifier: MIT
// Time as guests compute it from memory [ABI.md 6].
#pragma once

#include "arch/x86/time/clock.hpp"
#include "cpu/instructions.hpp"

namespace xylem {

// CPUID leaf 0x40000003.
cpu::CpuidRegs guest_time_leaf(u32 subleaf);

}  // namespace xylem
