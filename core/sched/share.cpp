// SPDX-License-Identifier: MIT
// Weights, caps and affinity: what an administrator sets.
#include <algorithm>

#include "core/sched/run_queue.hpp"

namespace xylem::sched {
namespace {

Nanos quota_of(const DomainShare& share) {
    return cap_period / 100 * share.cap.load(std::memory_order_relaxed);
}

// Brings the budget up to date: what was overdrawn is paid back first, what was not used is lost.
void renew_budget(DomainShare& share, Nanos now) XYLEM_REQUIRES(share.lock) {
    if (now < share.period_end) return;
    const Nanos periods = (now - share.period_end) / cap_period + 1;
    const Nanos quota = quota_of(share);
    share.budget = std::min(quota, share.budget + std::min<Nanos>(periods, 1000) * quota);
    share.period_end += periods * cap_period;
}

void on_refill(void* context) XYLEM_NO_ANALYSIS {
    Domain& d = *static_cast<Domain*>(context);
    bool again = false;
    {
        IrqGuard guard(d.sched.lock);
        renew_budget(d.sched, port::now());
        again = d.sched.budget <= 0 && d.sched.cap.load(std::memory_order_relaxed) != 0;
        if (again) timer_set(d.sched.refill, d.sched.period_end);
    }
    if (again) return;
    for_each_vcpu(d, [](Vcpu& v) XYLEM_NO_ANALYSIS {
        RunQueue& q = lock_queue_of(v);
        const bool was_parked = std::exchange(v.sched.parked, false);
        q.lock.unlock();
        if (was_parked) make_ready(v, Arrival::refilled);
    });
}

void look_at_it_again(Vcpu& v) XYLEM_NO_ANALYSIS {
    RunQueue& q = lock_queue_of(v);
    const bool runs = q.current == &v;
    q.lock.unlock();
    if (runs) ask_to_reschedule(q);
}

}  // namespace

void charge(DomainShare& share, Nanos served, Nanos now) {
    IrqGuard guard(share.lock);
    share.budget -= served;
    renew_budget(share, now);
}

Nanos budget_left(Domain& d, Nanos now) {
    IrqGuard guard(d.sched.lock);
    if (d.sched.cap.load(std::memory_order_relaxed) == 0) return never;
    renew_budget(d.sched, now);
    return d.sched.budget;
}

void park(Vcpu& v) XYLEM_NO_ANALYSIS {
    v.sched.parked = true;
    DomainShare& share = v.domain.sched;
    IrqGuard guard(share.lock);
    if (!share.refill.armed) timer_set(share.refill, share.period_end);
}

void add(Vcpu& v) XYLEM_NO_ANALYSIS {
    const u64 irq = cpu::irq_save();
    DomainShare& share = v.domain.sched;
    share.lock.lock();
    if (share.refill.handler == nullptr) {
        share.refill.context = &v.domain;
        share.refill.handler = on_refill;
    }
    share.lock.unlock();
    Entity& e = v.sched;
    // New vCPUs are spread over the CPUs they may use.
    CpuId start(v.id.raw % port::online_cpus());
    if (!e.hard_affinity.has(start)) start = choose_cpu(e);
    e.cpu = start;
    RunQueue& q = queue_of(start);
    q.lock.lock();
    e.weight = share.weight.load(std::memory_order_relaxed);
    e.vtime = q.vtime;
    e.runstate.state_entry_time = static_cast<u64>(port::now());
    e.runstate.state = static_cast<int>(RunState::offline);
    e.state = RunState::offline;
    e.added = true;
    q.lock.unlock();
    cpu::irq_restore(irq);
}

Result<> set_params(Domain& d, u32 weight, u32 cap) {
    if (weight == 0 || weight > max_weight || cap > 100 * std::max<u32>(1, d.max_vcpus)) return fail(XEN_EINVAL);
    const u64 irq = cpu::irq_save();
    d.sched.weight.store(weight, std::memory_order_relaxed);
    for_each_vcpu(d, [weight](Vcpu& v) { set_weight(v, weight); });  // what ran until now is charged to the old cap
    {
        Guard guard(d.sched.lock);
        d.sched.cap.store(cap, std::memory_order_relaxed);
        d.sched.budget = quota_of(d.sched);
        d.sched.period_end = port::now() + cap_period;
    }
    on_refill(&d);                       // who was parked under the old cap tries again
    for_each_vcpu(d, look_at_it_again);  // who runs may have no tick yet that would stop it
    cpu::irq_restore(irq);
    return {};
}

Params get_params(const Domain& d) {
    return {.weight = d.sched.weight.load(std::memory_order_relaxed), .cap = d.sched.cap.load(std::memory_order_relaxed)};
}

Result<> set_affinity(Vcpu& v, const CpuMask& hard, const CpuMask& soft) XYLEM_NO_ANALYSIS {
    bool any = false;
    for (u32 i = 0; i < port::online_cpus(); ++i) any = any || hard.has(CpuId(i));
    if (!any) return fail(XEN_EINVAL);
    const u64 irq = cpu::irq_save();
    RunQueue& q = lock_queue_of(v);
    Entity& e = v.sched;
    const CpuMask& pool = v.domain.sched.cpus;
    e.wanted_affinity = hard;
    e.hard_affinity = (hard & pool).empty() ? pool : hard & pool;
    e.soft_affinity = soft;
    const bool must_go = !e.hard_affinity.has(q.id) && (e.queued || q.current == &v);
    if (must_go) q.misplaced = true;
    q.lock.unlock();
    if (must_go) ask_to_reschedule(q);
    cpu::irq_restore(irq);
    return {};
}

void set_cpus(Domain& d, const CpuMask& cpus) {
    d.sched.cpus = cpus;
    for_each_vcpu(d, [](Vcpu& v) { (void)set_affinity(v, v.sched.wanted_affinity, v.sched.soft_affinity); });
}

}  // namespace xylem::sched
