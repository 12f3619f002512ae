// SPDX-License-Identifier: MIT
#pragma once

#include "arch/x86/domain/arch_vcpu.hpp"

namespace xylem::pv {

// #GP(0) at a privileged instruction: does what ABI.md 2.3-2.5 says. False: the fault is the guest's.
bool emulate_privileged(ArchVcpu& v);
// #UD: the forced-emulation CPUID. False: the fault is the guest's.
bool emulate_invalid_opcode(ArchVcpu& v);

}  // namespace xylem::pv
