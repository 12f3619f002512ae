// SPDX-License-Identifier: MIT
// domctl: registers of vCPUs, for building, saving, restoring and looking at guests. The caller holds the domain's ControlLock.
// All: XEN_EINVAL for a vCPU number too high or the caller's own vCPU, XEN_EFAULT, XEN_EAGAIN: the vCPU does not come to a stop.
#pragma once

#include "core/domain/domain.hpp"

namespace xylem::control {

// XEN_EOPNOTSUPP: other page-table roots or descriptor frames than the vCPU has. A null context is refused.
Result<> set_vcpu_context(Domain& d, const xen_domctl_vcpucontext& op);
// XEN_ENODATA: nothing was ever set.
Result<> get_vcpu_context(Domain& d, const xen_domctl_vcpucontext& op);
Result<> set_vcpu_callbacks(Domain& d, const xen_domctl_ext_vcpucontext& op);
Result<> get_vcpu_callbacks(Domain& d, xen_domctl_ext_vcpucontext& op);
Result<> get_extended_state(Domain& d, xen_domctl_vcpuextstate& op);
Result<> set_extended_state(Domain& d, const xen_domctl_vcpuextstate& op);

}  // namespace xylem::control
