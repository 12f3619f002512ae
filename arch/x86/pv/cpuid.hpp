// SPDX-License-Identifier: MIT
#pragma once

#include "arch/x86/domain/arch_vcpu.hpp"
#include "cpu/instructions.hpp"

namespace xylem::pv {

// What CPUID tells this vCPU [ABI.md 2.7]. `forced`: asked with the forced-emulation prefix, by a kernel that has not set
// CR4.OSXSAVE yet but wants to know whether it may.
cpu::CpuidRegs guest_cpuid(const ArchVcpu& v, u32 leaf, u32 subleaf, bool forced);

}  // namespace xylem::pv
