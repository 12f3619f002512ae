// SPDX-License-Identifier: MIT
// What CPUs look like to guests: read by tools, and chosen by them before a guest runs.
#pragma once

#include "abi/xen.hpp"
#include "core/domain/domain.hpp"

namespace xylem::control {

Result<> cpu_featureset(xen_sysctl_cpu_featureset& op);
Result<> system_cpu_policy(xen_sysctl_cpu_policy& op);

Result<> get_cpu_policy(Domain& d, xen_domctl_cpu_policy& op);
// Fills in err_leaf, err_subleaf and err_msr where it fails: copy `op` back also then.
// XEN_EEXIST once the domain has run, XEN_EINVAL for the caller's own.
Result<> set_cpu_policy(Domain& d, xen_domctl_cpu_policy& op);

// In both calls a null list asks for how many there can be. Setting: where an entry is refused, msr_count tells which; copy `op`
// back also then.
Result<> get_vcpu_msrs(Domain& d, xen_domctl_vcpu_msrs& op);
Result<> set_vcpu_msrs(Domain& d, xen_domctl_vcpu_msrs& op);

// Setting: XEN_EEXIST once the domain has run.
Result<> get_tsc_info(Domain& d, xen_domctl_tsc_info& op);
Result<> set_tsc_info(Domain& d, const xen_domctl_tsc_info& op);

}  // namespace xylem::control
