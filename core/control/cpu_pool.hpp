// SPDX-License-Identifier: MIT
// There is one CPU pool, number 0: all CPUs and all domains are in it, under one scheduler. It cannot be taken apart.
#pragma once

#include "abi/errno.hpp"
#include "abi/xen.hpp"

namespace xylem {
struct Domain;
}

namespace xylem::control {

// What the scheduler's users know it as: weights, caps and `xl sched-credit2` mean the same.
inline constexpr u32 scheduler_id = XEN_SCHEDULER_CREDIT2;

// XEN_SYSCTL_cpupool_op. XEN_EOPNOTSUPP for what would need a second pool.
Result<> cpupool_op(xen_sysctl_cpupool_op& op);
// XEN_SYSCTL_scheduler_op. XEN_ESRCH: no such pool; XEN_EINVAL: another scheduler, or a rate limit out of range;
// XEN_EOPNOTSUPP: another rate limit than ours.
Result<> scheduler_op(xen_sysctl_scheduler_op& op);
// XEN_DOMCTL_scheduler_op: a domain's weight and cap.
Result<> domain_scheduler_op(Domain& d, xen_domctl_scheduler_op& op);

}  // namespace xylem::control
