// SPDX-License-Identifier: MIT
#include "core/sched/scheduler.hpp"

#include <algorithm>

#include "base/panic.hpp"
#include "core/sched/hypercalls.hpp"
#include "core/sched/run_queue.hpp"

namespace xylem::sched {

void set_state(Entity& e, RunState s, Nanos now) {
    vcpu_runstate_info& r = e.runstate;
    const u64 at = static_cast<u64>(now);
    if (at > r.state_entry_time) r.time[static_cast<u8>(e.state)] += at - r.state_entry_time;
    r.state_entry_time = at;
    r.state = static_cast<int>(s);
    e.state = s;
}

namespace {

RunState resting_state(const Entity& e) {
    if (runnable(e)) return RunState::runnable;
    return is_stopped(e) || e.ended.load(std::memory_order_relaxed) ? RunState::offline : RunState::blocked;
}

bool allowed(const Entity& e, const RunQueue& q) {
    return e.hard_affinity.has(q.id);
}

// Charges the current vCPU for the time since the last charge.
void charge_current(RunQueue& q, Nanos now) XYLEM_REQUIRES(q.lock) {
    const Nanos served = now - q.since;
    q.since = now;
    Entity& e = q.current->sched;
    if (e.is_idle || q.idling.load(std::memory_order_relaxed) || served <= 0) return;
    e.vtime += weighted(served, e.weight);
    DomainShare& share = q.current->domain.sched;
    if (share.cap.load(std::memory_order_relaxed) != 0) charge(share, served, now);
}

// `v` has the CPU from now on (it was switched to, or wakes up in place).
void begin_running(RunQueue& q, Vcpu& v, Nanos now) XYLEM_REQUIRES(q.lock) {
    Entity& e = v.sched;
    if (q.idling.load(std::memory_order_relaxed)) {
        q.idle_total += now - q.idle_since;
        q.idling.store(false, std::memory_order_relaxed);
    }
    if (distance(e.vtime, q.vtime) > 0) q.vtime = e.vtime;
    e.boosted = false;
    q.since = q.slice_start = now;
    q.seen_vtime.store(e.vtime, std::memory_order_relaxed);
    q.seen_since.store(now, std::memory_order_relaxed);
    q.seen_weight.store(e.weight, std::memory_order_relaxed);
    set_state(e, RunState::running, now);
    if (v.runstate_guest_va.load(std::memory_order_relaxed) != 0 || v.time_guest_va.load(std::memory_order_relaxed) != 0)
        v.pending_work.fetch_or(work::update_runstate, std::memory_order_relaxed);
}

void begin_idling(RunQueue& q, Nanos now) XYLEM_REQUIRES(q.lock) {
    if (q.idling.load(std::memory_order_relaxed)) return;
    q.idle_since = now;
    q.idling.store(true, std::memory_order_relaxed);
}

// A domain that dies is not kept from it by its cap.
bool has_budget(Vcpu& v, Nanos now) {
    return v.domain.sched.cap.load(std::memory_order_relaxed) == 0 || v.sched.ending.load(std::memory_order_relaxed) ||
           budget_left(v.domain, now) > 0;
}

// The waiting vCPU that is furthest behind, may run here, and whose domain has budget. Parks those without.
Vcpu* first_waiting(RunQueue& q, Nanos now) XYLEM_REQUIRES(q.lock) {
    Vcpu* v = q.head;
    while (v != nullptr) {
        Vcpu* next = v->sched.next;
        if (allowed(v->sched, q)) {
            if (has_budget(*v, now)) return v;
            dequeue(q, *v);
            park(*v);
        }
        v = next;
    }
    return nullptr;
}

bool may_stay(RunQueue& q, Vcpu& v, Nanos now) XYLEM_REQUIRES(q.lock) {
    Entity& e = v.sched;
    if (e.is_idle || !runnable(e)) return false;
    if (!allowed(e, q)) {
        q.misplaced = true;
        return false;
    }
    if (!has_budget(v, now)) {
        park(v);
        return false;
    }
    return true;
}

bool should_yield_to(const RunQueue& q, const Entity& current, const Entity& first, Nanos now) {
    if (distance(current.vtime, first.vtime) <= 0) return false;
    const Nanos least = q.ratelimit.load(std::memory_order_relaxed);
    return now - q.slice_start >= (first.boosted ? least : std::max(least, slice));
}

// Who runs next on this CPU; null for nobody.
Vcpu* choose_next(RunQueue& q, Nanos now) XYLEM_REQUIRES(q.lock) {
    Vcpu& current = *q.current;
    const bool stays = may_stay(q, current, now);
    Vcpu* first = q.head == nullptr ? nullptr : first_waiting(q, now);
    const bool yielding = std::exchange(q.yielding, false);
    if (!stays) return first;
    if (first == nullptr || q.idling.load(std::memory_order_relaxed)) return &current;
    if (yielding) {
        if (distance(current.sched.vtime, first->sched.vtime) <= 0) current.sched.vtime = first->sched.vtime + 1;
        return first;
    }
    if (should_yield_to(q, current.sched, first->sched, now)) return first;
    if (now - q.slice_start >= slice) q.slice_start = now;
    return &current;
}

constexpr Nanos shortest_tick = 100'000;

// Arms the tick for the next time the choice could come out differently. A tick that is too early does no harm.
void arm_tick(RunQueue& q, Nanos now) XYLEM_REQUIRES(q.lock) {
    Nanos when = never;
    const Entity& e = q.current->sched;
    const Nanos least = q.ratelimit.load(std::memory_order_relaxed);
    if (q.head != nullptr) {
        const bool soon = q.head->sched.boosted && distance(e.vtime, q.head->sched.vtime) > 0;
        when = q.slice_start + (soon ? least : std::max(least, slice));
    }
    if (!e.is_idle && q.current->domain.sched.cap.load(std::memory_order_relaxed) != 0) {
        const Nanos left = budget_left(q.current->domain, now);
        if (left != never) when = std::min(when, now + std::max(left, shortest_tick));
    }
    if (when == never) return;
    if (when <= now) when = now + std::max(least, shortest_tick);
    if (!q.tick.armed || q.tick.deadline > when) timer_set(q.tick, when);
}

void on_tick(void* context) XYLEM_NO_ANALYSIS {
    RunQueue& q = *static_cast<RunQueue*>(context);
    port::this_cpu_work().flags.fetch_or(CpuWork::reschedule);
    if (q.waiting.load(std::memory_order_relaxed) != 0) offer(q);
}

// Sends waiting vCPUs that may not run here to where they may.
void shed(RunQueue& q) XYLEM_NO_ANALYSIS {
    q.misplaced = false;
    for (Vcpu* v = q.head; v != nullptr;) {
        if (allowed(v->sched, q) || v->sched.on_cpu.load(std::memory_order_acquire)) {
            v = v->sched.next;
            continue;
        }
        const CpuId target = choose_cpu(v->sched);
        if (target == q.id) {  // no CPU of its mask is online any more
            v->sched.hard_affinity = CpuMask::all();
            continue;
        }
        RunQueue& to = queue_of(target);
        // Both locks, in order; what we knew of our queue is void then.
        q.lock.unlock();
        RunQueue& low = q.id < to.id ? q : to;
        RunQueue& high = q.id < to.id ? to : q;
        low.lock.lock();
        high.lock.lock();
        for (Vcpu* w = q.head; w != nullptr; w = w->sched.next) {
            Entity& e = w->sched;
            if (allowed(e, q) || !allowed(e, to) || e.on_cpu.load(std::memory_order_acquire)) continue;
            dequeue(q, *w);
            __atomic_store_n(&e.cpu.raw, target.raw, __ATOMIC_RELEASE);
            settle(to, e, static_cast<u64>(5 * slice));
            enqueue(to, *w);
            break;
        }
        to.lock.unlock();
        ask_to_reschedule(to);
        v = q.head;
    }
}

// Puts the current vCPU back where it belongs, it does not go on.
void put_back(RunQueue& q, Vcpu& v, Nanos now) XYLEM_REQUIRES(q.lock) {
    Entity& e = v.sched;
    if (e.is_idle) {
        set_state(e, RunState::runnable, now);
        return;
    }
    set_state(e, resting_state(e), now);
    if (runnable(e) && !e.parked) enqueue(q, v);
}

// The vCPU's timer page follows it to another CPU, and is renewed after a long sleep. Interrupts off, no locks.
void renew_time(Vcpu& v, CpuId here, Nanos now) {
    Entity& e = v.sched;
    if (e.is_idle || (e.time_cpu == here && now - e.time_updated < 1'000'000'000)) return;
    e.time_cpu = here;
    e.time_updated = now;
    port::update_vcpu_time(v);
}

}  // namespace

void schedule() XYLEM_NO_ANALYSIS {
    RunQueue& q = this_queue();
    if (q.offered.load(std::memory_order_relaxed)) [[unlikely]] {
        q.offered.store(false, std::memory_order_relaxed);
        if (!q.idling.load(std::memory_order_relaxed)) balance(q);
    }
    q.lock.lock();
    Vcpu& previous = *q.current;
    Vcpu* next = nullptr;
    Nanos now = 0;
    for (bool stole = false;; stole = true) {
        now = port::now();
        charge_current(q, now);
        catch_up(q);
        if (q.misplaced) [[unlikely]]
            shed(q);
        next = choose_next(q, now);
        if (next != nullptr || stole || total_waiting.load(std::memory_order_relaxed) == 0) break;
        q.lock.unlock();
        steal(q);
        q.lock.lock();
    }
    const bool was_idling = q.idling.load(std::memory_order_relaxed);
    if (next == &previous) {
        if (was_idling || previous.sched.state != RunState::running) begin_running(q, previous, now);
        arm_tick(q, now);
        q.lock.unlock();
        return;
    }
    if (next == nullptr) {
        // Idle: on this very stack, if the vCPU merely blocks and may stay on this CPU.
        begin_idling(q, now);
        Entity& e = previous.sched;
        if (!e.is_idle && resting_state(e) == RunState::blocked && allowed(e, q)) {
            if (e.state != RunState::blocked) set_state(e, RunState::blocked, now);
            q.lock.unlock();
            return;
        }
        if (e.is_idle) {
            q.lock.unlock();
            return;
        }
        next = q.idle;
    }
    put_back(q, previous, now);
    if (next->sched.queued) dequeue(q, *next);
    q.current = next;
    next->sched.on_cpu.store(true, std::memory_order_seq_cst);
    if (next->sched.is_idle)
        set_state(next->sched, RunState::running, now);
    else
        begin_running(q, *next, now);
    if (q.misplaced) port::this_cpu_work().flags.fetch_or(CpuWork::reschedule);
    arm_tick(q, now);
    q.lock.unlock();
    port::context_switch(previous, *next);
}

void set_weight(Vcpu& v, u32 weight) XYLEM_NO_ANALYSIS {
    RunQueue& q = lock_queue_of(v);
    if (q.current == &v) charge_current(q, port::now());
    if (v.sched.queued)
        q.waiting_weight.store(q.waiting_weight.load(std::memory_order_relaxed) - v.sched.weight + weight,
                               std::memory_order_relaxed);
    v.sched.weight = weight;
    q.lock.unlock();
}

void finish_switch(Vcpu& previous) {
    previous.sched.on_cpu.store(false, std::memory_order_release);
    Vcpu& v = port::current();
    renew_time(v, port::this_cpu(), queue_of(port::this_cpu()).since);
}

void exit_point() XYLEM_NO_ANALYSIS {
    Vcpu& v = port::current();
    Entity& e = v.sched;
    e.at_exit.store(true, std::memory_order_seq_cst);
    const u32 pending = v.pending_work.load(std::memory_order_relaxed);
    if ((pending & work::end) != 0) {
        RunQueue& q = lock_queue_of(v);
        e.ended.store(true, std::memory_order_release);
        q.lock.unlock();
        for (;;) schedule();  // never chosen again
    }
    if ((pending & work::stop) != 0) {
        v.pending_work.fetch_and(~work::stop);
        port::this_cpu_work().flags.fetch_or(CpuWork::reschedule);
        if (v.domain.shutting_down.load(std::memory_order_relaxed)) complete_shutdown(v.domain);
    }
    preempt_if_needed();
    e.at_exit.store(false, std::memory_order_seq_cst);  // before our caller looks for reasons to come here again
}

void preempt_if_needed() {
    const u64 irq = cpu::irq_save();
    const u32 flags = port::this_cpu_work().flags.exchange(0);
    if ((flags & CpuWork::timers) != 0) timers_reprogram();
    if ((flags & CpuWork::reschedule) != 0) schedule();
    cpu::irq_restore(irq);
}

// --- sleeping and waking ------------------------------------------------------------------------------------------------------
void begin_block() {
    port::current().sched.blocked.store(true, std::memory_order_seq_cst);
}

void cancel_block() {
    port::current().sched.blocked.store(false, std::memory_order_release);
}

// The current vCPU idled on its CPU and goes on there. With a cap that is for schedule() to say.
static void wake_in_place(RunQueue& q, Vcpu& v) XYLEM_NO_ANALYSIS {
    const bool capped = v.domain.sched.cap.load(std::memory_order_relaxed) != 0;
    q.lock.lock();
    const Nanos now = port::now();
    catch_up(q);
    settle(q, v.sched, static_cast<u64>(sleep_bonus));
    if (!capped) begin_running(q, v, now);
    q.lock.unlock();
    if (capped) [[unlikely]]
        schedule();
    renew_time(v, port::this_cpu(), now);
}

void block_current() XYLEM_NO_ANALYSIS {
    const u64 irq = cpu::irq_save();
    Vcpu& v = port::current();
    std::atomic<bool>& blocked = v.sched.blocked;
    if (v.sched.ending.load(std::memory_order_seq_cst)) [[unlikely]]
        blocked.store(false, std::memory_order_relaxed);
    if (blocked.load(std::memory_order_acquire)) {
        schedule();
        // Either we slept away from the CPU and were woken, or we idle in place.
        while (blocked.load(std::memory_order_acquire)) {
            if (port::this_cpu_work().flags.load(std::memory_order_relaxed) != 0)
                preempt_if_needed();
            else
                port::wait_for_interrupt();
        }
        RunQueue& q = this_queue();
        if (q.idling.load(std::memory_order_relaxed)) wake_in_place(q, v);
    }
    cpu::irq_restore(irq);
}

void wake(Vcpu& v) XYLEM_NO_ANALYSIS {
    Entity& e = v.sched;
    if (!e.blocked.load(std::memory_order_seq_cst)) return;
    const u64 irq = cpu::irq_save();
    RunQueue& q = lock_queue_of(v);
    const bool was_blocked = e.blocked.exchange(false);
    const bool in_place = q.current == &v;
    q.lock.unlock();
    if (was_blocked) {
        if (!in_place)
            make_ready(v, Arrival::woken);
        else if (q.id != port::this_cpu())
            port::send_event_check(q.id);  // its loop looks at `blocked`
    }
    cpu::irq_restore(irq);
}

// A reason not to run came up: leaves its queue, or its CPU soon.
static void stop_running(Vcpu& v) XYLEM_NO_ANALYSIS {
    const u64 irq = cpu::irq_save();
    v.pending_work.fetch_or(work::stop);
    RunQueue& q = lock_queue_of(v);
    Entity& e = v.sched;
    const bool on_stack = q.current == &v;
    if (!on_stack && !runnable(e)) {  // an unpause may have come in between
        if (e.queued) dequeue(q, v);
        e.parked = false;
        set_state(e, resting_state(e), port::now());
    }
    q.lock.unlock();
    if (on_stack) ask_to_reschedule(q);
    cpu::irq_restore(irq);
}

// One reason less not to run.
static void may_run(Vcpu& v) XYLEM_NO_ANALYSIS {
    const u64 irq = cpu::irq_save();
    Entity& e = v.sched;
    if (!runnable(e)) {
        RunQueue& q = lock_queue_of(v);
        if (q.current != &v && !runnable(e)) set_state(e, resting_state(e), port::now());
        q.lock.unlock();
    } else {
        make_ready(v, Arrival::released);
    }
    cpu::irq_restore(irq);
}

void bring_up(Vcpu& v) {
    if (v.sched.down.exchange(false)) may_run(v);
}

void take_down(Vcpu& v) {
    if (!v.sched.down.exchange(true)) stop_running(v);
}

void pause(Vcpu& v) {
    v.sched.pause_count.fetch_add(1);
    stop_running(v);
}

void unpause(Vcpu& v) {
    if (v.sched.pause_count.fetch_sub(1) == 1) may_run(v);
}

// We may be what it waits for: let ourselves be preempted.
void make_way() {
    yield_current();
    port::preemption_point();
    cpu::relax();
}

// At its exit it looks once more whether it is to stop after it has left there.
bool is_out_of_guest(const Vcpu& v) {
    return v.sched.at_exit.load() || v.sched.blocked.load();
}

void wait_until_out_of_guest(Domain& d) {
    for_each_vcpu(d, [](Vcpu& v) {
        while (!is_out_of_guest(v)) make_way();
    });
}

// Off its stack, which it left at its exit: a paused vCPU stays so.
static bool is_held(Vcpu& v) XYLEM_NO_ANALYSIS {
    const u64 irq = cpu::irq_save();
    RunQueue& q = lock_queue_of(v);
    const Entity& e = v.sched;
    const bool held = q.current != &v && !e.on_cpu.load(std::memory_order_acquire) && e.at_exit.load(std::memory_order_relaxed);
    q.lock.unlock();
    cpu::irq_restore(irq);
    return held;
}

bool pause_and_wait(Vcpu& v) {
    constexpr Nanos patience = 2'000'000'000;
    pause(v);
    wake(v);  // out of a block it comes to its exit, too
    const Nanos since = port::now();
    while (!is_held(v)) {
        if (port::now() - since > patience) {
            unpause(v);
            return false;
        }
        make_way();
    }
    return true;
}

void end(Vcpu& v) XYLEM_NO_ANALYSIS {
    Entity& e = v.sched;
    const u64 irq = cpu::irq_save();
    RunQueue& q = lock_queue_of(v);
    e.ending.store(true, std::memory_order_seq_cst);
    v.pending_work.fetch_or(work::end);
    e.parked = false;
    const bool on_stack = q.current == &v;
    if (!on_stack && e.at_exit.load(std::memory_order_relaxed)) {
        if (e.queued) dequeue(q, v);
        e.ended.store(true, std::memory_order_release);
        set_state(e, RunState::offline, port::now());
    }
    q.lock.unlock();
    wake(v);
    if (on_stack)
        ask_to_reschedule(q);
    else
        make_ready(v, Arrival::released);
    cpu::irq_restore(irq);
}

void wait_until_ended(Vcpu& v) {
    const Entity& e = v.sched;
    // In this order: it gets no CPU any more once it has ended.
    while (!e.ended.load(std::memory_order_acquire) || e.on_cpu.load(std::memory_order_acquire)) make_way();
}

void yield_current() XYLEM_NO_ANALYSIS {
    const u64 irq = cpu::irq_save();
    RunQueue& q = this_queue();
    if (q.waiting.load(std::memory_order_relaxed) != 0) {
        q.lock.lock();
        q.yielding = true;
        q.lock.unlock();
        schedule();
    }
    cpu::irq_restore(irq);
}

// --- set-up -------------------------------------------------------------------------------------------------------------------
void init_cpu(CpuId cpu, Vcpu& idle) XYLEM_NO_ANALYSIS {
    RunQueue& q = queue_of(cpu);
    Entity& e = idle.sched;
    e.is_idle = true;
    e.added = true;
    e.cpu = cpu;
    e.down = false;
    e.on_cpu = true;
    const Nanos now = port::now();
    q.lock.lock();
    q.id = cpu;
    q.idle = q.current = &idle;
    q.since = now;
    q.idling.store(false, std::memory_order_relaxed);
    begin_idling(q, now);
    e.runstate.state_entry_time = static_cast<u64>(now);
    set_state(e, RunState::running, now);
    q.tick.handler = on_tick;
    q.tick.context = &q;
    q.tick.cpu = cpu;
    q.lock.unlock();
}

void idle_loop() {
    cpu::irq_disable();
    schedule();
    for (;;) {
        if (port::this_cpu_work().flags.load(std::memory_order_relaxed) != 0)
            preempt_if_needed();
        else
            port::wait_for_interrupt();
    }
}

void remove(Vcpu& v) XYLEM_NO_ANALYSIS {
    wait_until_ended(v);
    timer_cancel(v.singleshot);
    timer_cancel(v.periodic);
    timer_cancel(v.sched.poll_timer);
    const u64 irq = cpu::irq_save();
    RunQueue& q = lock_queue_of(v);
    v.sched.added = false;
    if (v.sched.queued) dequeue(q, v);
    q.lock.unlock();
    cpu::irq_restore(irq);
}

void set_ratelimit(const CpuMask& cpus, Nanos limit) {
    for (u32 i = 0; i < port::online_cpus(); ++i)
        if (cpus.has(CpuId(i))) queue_of(CpuId(i)).ratelimit.store(limit, std::memory_order_relaxed);
}

Nanos idle_time(CpuId cpu) {
    RunQueue& q = queue_of(cpu);
    IrqGuard guard(q.lock);
    return q.idle_total + (q.idling.load(std::memory_order_relaxed) ? port::now() - q.idle_since : 0);
}

vcpu_runstate_info runstate_snapshot(Vcpu& v) XYLEM_NO_ANALYSIS {
    const u64 irq = cpu::irq_save();
    RunQueue& q = lock_queue_of(v);
    vcpu_runstate_info r = v.sched.runstate;
    const u64 now = static_cast<u64>(port::now());
    q.lock.unlock();
    cpu::irq_restore(irq);
    if (now > r.state_entry_time) r.time[r.state] += now - r.state_entry_time;
    return r;
}

}  // namespace xylem::sched

namespace xylem {

void kick(Vcpu& v) {
    // Against begin_block(): what was made pending is visible before we look whether the vCPU sleeps.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (v.sched.blocked.load(std::memory_order_relaxed)) {
        sched::wake(v);
        return;
    }
    if (!v.sched.on_cpu.load(std::memory_order_relaxed)) return;
    const CpuId cpu(__atomic_load_n(&v.sched.cpu.raw, __ATOMIC_RELAXED));
    if (cpu != port::this_cpu()) port::send_event_check(cpu);
}

}  // namespace xylem
