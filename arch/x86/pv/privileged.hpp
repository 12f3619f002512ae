// SPDX-License-Identifier: MIT
#pragma once

#include "arch/x86/domain/arch_vcpu.hpp"

namespace xylem::pv {

// #GP(0) at a privileged instruction: does what ABI.md 2.3-2.5 says. False: the fault is the guest's.
bool emulate_privileged(ArchVcpu& v);
// #UD: the forced-emulation CPUID. False: the fault is the guest's.
bool emulate_invalid_opcode(ArchVcpu& v);

// What RDTSC tells the guest.
u64 read_tsc(const ArchVcpu& v);

// CR4 while this vCPU runs.
u64 host_cr4_for(const ArchVcpu& v);
// The guest's CR0.TS.
void set_task_switched(ArchVcpu& v, bool on);

}  // namespace xylem::pv
