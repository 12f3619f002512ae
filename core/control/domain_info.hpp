// SPDX-License-Identifier: MIT
#pragma once

#include "core/domain/domain.hpp"

namespace xylem::control {

// A domain as tools see it. Takes the domain's lock for a moment.
xen_domctl_getdomaininfo describe(Domain& d);
// Where a vCPU is and what it used. XEN_EINVAL: no such number; XEN_ESRCH: not made yet.
Result<xen_domctl_getvcpuinfo> describe_vcpu(Domain& d, u32 vcpu);
// XEN_SYSCTL_getdomaininfolist: fills the caller's list from `first_domain` on.
Result<> list_domains(xen_sysctl_getdomaininfolist& op);

}  // namespace xylem::control
