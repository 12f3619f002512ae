// SPDX-License-Identifier: MIT
// A vCPU's registers on and off a physical CPU.
#pragma once

#include "arch/x86/domain/arch_vcpu.hpp"

namespace xylem {

// Makes the arch half of a PV vCPU: stack, trap table, FPU area, and a stack that starts with the guest. XEN_ENOMEM.
Result<> make_pv_vcpu(Vcpu& v);
void destroy_pv_vcpu(Vcpu& v);

// Puts the running vCPU's live registers into its ArchVcpu / loads them onto this CPU. Interrupts off.
void save_context(ArchVcpu& v);
void load_context(ArchVcpu& v);

}  // namespace xylem
