// SPDX-License-Identifier: MIT
// domctl: making domains, letting them run, ending them. No locks held.
#pragma once

#include "core/domain/domain.hpp"

namespace xylem::control {

// XEN_DOMCTL_createdomain: domain `wanted`, or the next free number where that is reserved. XEN_EINVAL: a setting that we do
// not know or cannot keep (said in the log); XEN_EEXIST; XEN_ENOMEM.
Result<DomId> create(domid_t wanted, const xen_domctl_createdomain& op);
// Counted; after it no vCPU executes the guest's instructions. XEN_EOVERFLOW: 255 times already. XEN_EINVAL: not paused. Take the
// domain's lock. Not for the caller's own domain.
Result<> pause(Domain& d);
Result<> unpause(Domain& d);
// The domain goes on after it shut down, as if nothing had been.
Result<> resume(Domain& d);
// XEN_DOMCTL_max_vcpus. Creation made them all: XEN_EINVAL for another number.
Result<> set_max_vcpus(Domain& d, u32 count);
// In KiB. What the domain has beyond the limit it keeps.
Result<> set_max_memory(Domain& d, u64 kib_limit);
Result<> set_time_offset(Domain& d, const xen_domctl_settimeoffset& op);
// An NMI is sent. XEN_EINVAL, XEN_ENOSYS: not for PV guests. XEN_ESRCH: no such vCPU.
Result<> send_trigger(Domain& d, const xen_domctl_sendtrigger& op);

}  // namespace xylem::control
