// SPDX-License-Identifier: MIT
#pragma once

#include "abi/xen.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"

namespace xylem::pv {

// Installs a whole vCPU state (VCPUOP_initialise, XEN_DOMCTL_setvcpucontext). The vCPU does not run; the caller holds nothing.
// XEN_EINVAL: a page-table root or descriptor frame that is none of the domain's, non-canonical addresses.
Result<> set_vcpu_context(Vcpu& v, const vcpu_guest_context& c);

}  // namespace xylem::pv
