// SPDX-License-Identifier: MIT
// CPU pools: each has some of the CPUs, and its domains run on these alone. Pool 0 is there from the start, with all CPUs and
// dom0. All are under one scheduler.
#pragma once

#include "abi/errno.hpp"
#include "abi/xen.hpp"

namespace xylem {
struct Domain;
}

namespace xylem::control {

// What the scheduler's users know it as: weights, caps and `xl sched-credit2` mean the same.
inline constexpr u32 scheduler_id = XEN_SCHEDULER_CREDIT2;

// XEN_SYSCTL_cpupool_op. XEN_ENOENT: no such pool; XEN_EBUSY: it has domains, or CPUs, that stand in the way.
Result<> cpupool_op(xen_sysctl_cpupool_op& op);
// A domain may be made in it: it exists and has a CPU.
bool pool_can_run(u32 id);
Result<> put_into_pool(Domain& d, u32 id);
// XEN_SYSCTL_scheduler_op. XEN_ESRCH: no such pool; XEN_EINVAL: another scheduler, or a rate limit out of range;
// XEN_EOPNOTSUPP: another rate limit than ours.
Result<> scheduler_op(xen_sysctl_scheduler_op& op);
// The rate limit that pools have until it is set (option sched_ratelimit_us). At start, with all CPUs there.
void set_first_ratelimit(u32 us);
// XEN_DOMCTL_scheduler_op: a domain's weight and cap.
Result<> domain_scheduler_op(Domain& d, xen_domctl_scheduler_op& op);

}  // namespace xylem::control
