// SPDX-License-Identifier: MIT
// The hypercalls about time and the scheduler, and the end of domains. All run on the calling vCPU's stack with interrupts on.
#pragma once

#include "core/domain/domain.hpp"

namespace xylem {

// Hypercall 29. `arg`: guest address of the sub-operation's structure. An answer or minus an errno.
long sched_op(Vcpu& v, u64 command, u64 arg);
// Hypercall 15: the single-shot timer in system time ns; 0 stops it.
long set_timer_op(Vcpu& v, u64 timeout);
// Hypercall 24.
long vcpu_op(Vcpu& v, u64 command, u64 vcpu_id, u64 arg);

// Prepares the vCPU's timers: once, at creation, after sched::add().
void init_vcpu_timers(Vcpu& v);
// PV vCPUs start with a 100 Hz timer until their kernel stops it: call when the vCPU is first brought up.
void start_default_periodic_timer(Vcpu& v);

// The domain asked for its end, or was ended (SHUTDOWN_*): vCPUs stop, dom0 is told. The second call does nothing. The hardware
// domain's end is the machine's. Any context.
void shutdown_domain(Domain& d, u32 reason);
// The last of its vCPUs that leaves the guest completes the shutdown: tools are told then. Any context, no locks held.
void complete_shutdown(Domain& d);
// Undoes shutdown_domain() (XEN_DOMCTL_resumedomain).
void resume_domain(Domain& d);
// The domain is about to be freed: stops its watchdogs and the scheduler's timer. Its vCPUs are removed already.
void cancel_domain_timers(Domain& d);

}  // namespace xylem
