// SPDX-License-Identifier: MIT
// domctl: which ports, device frames and interrupts a domain may use. Nobody can give what he may not use himself: XEN_EPERM.
#pragma once

#include "core/domain/domain.hpp"

namespace xylem::control {

// XEN_EINVAL: no range. XEN_ENOMEM: the domain has too many ranges already.
Result<> set_port_permission(const Domain& caller, Domain& d, const xen_domctl_ioport_permission& op);
Result<> set_frame_permission(const Domain& caller, Domain& d, const xen_domctl_iomem_permission& op);
// `op.pirq` is the caller's. XEN_EINVAL: a number too high.
Result<> set_irq_permission(Domain& caller, Domain& d, const xen_domctl_irq_permission& op);
// PV guests map frames themselves, so that there is nothing to do but to check. XEN_E2BIG: too many at once.
Result<> check_frame_mapping(const Domain& caller, const Domain& d, const xen_domctl_memory_mapping& op);

}  // namespace xylem::control
