// SPDX-License-Identifier: MIT
// domctl: what tools want to know of a guest's memory, or write there.
#pragma once

#include "core/domain/domain.hpp"

namespace xylem::control {

// XEN_DOMCTL_getpageframeinfo3: replaces frame numbers by what the frames are used as. XEN_E2BIG: more than 1024.
Result<> page_types(Domain& d, const xen_domctl_getpageframeinfo3& op);
// XEN_DOMCTL_hypercall_init. XEN_EACCES: not a frame that could be written.
Result<> fill_hypercall_page(Domain& d, const xen_domctl_hypercall_init& op);
// There is one NUMA node: a set without it is refused.
Result<> set_node_affinity(Domain& d, const xen_domctl_nodeaffinity& op);
Result<> get_node_affinity(Domain& d, const xen_domctl_nodeaffinity& op);

}  // namespace xylem::control
