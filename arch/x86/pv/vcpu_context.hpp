// SPDX-License-Identifier: MIT
#pragma once

#include "abi/xen.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"

namespace xylem::pv {

// Installs a whole vCPU state (VCPUOP_initialise, XEN_DOMCTL_setvcpucontext): see port::set_vcpu_context.
Result<> set_vcpu_context(Vcpu& v, const vcpu_guest_context& c);
// Gives page-table roots and descriptor frames back. The vCPU does not run.
void release_resources(ArchVcpu& v);

// Takes the bits out of a legacy FPU image's MXCSR that would fault when loaded.
void clean_mxcsr(u8* area);

// The domain's vm_assist bits, all of them.
void set_vm_assist(Domain& d, u64 assists);

}  // namespace xylem::pv
