// SPDX-License-Identifier: MIT
// The run queues themselves: ordered lists, and how a vCPU gets into one.
#include <algorithm>
#include <array>

#include "base/panic.hpp"
#include "core/sched/run_queue.hpp"

namespace xylem::sched {
namespace {
constinit std::array<RunQueue, CpuMask::capacity> queues{};
}

constinit std::atomic<u32> total_waiting{0};

RunQueue& queue_of(CpuId cpu) {
    return queues[cpu.raw];
}

RunQueue& lock_queue_of(Vcpu& v) XYLEM_NO_ANALYSIS {
    for (;;) {
        const u32 cpu = __atomic_load_n(&v.sched.cpu.raw, __ATOMIC_ACQUIRE);
        RunQueue& q = queue_of(CpuId(cpu));
        q.lock.lock();
        if (v.sched.cpu.raw == cpu) return q;
        q.lock.unlock();
    }
}

void enqueue(RunQueue& q, Vcpu& v) {
    Entity& e = v.sched;
    XYLEM_BUG_ON(e.queued || e.is_idle);
    // Sleepers come in near the head, those whose slice ended at the tail.
    Vcpu* before = q.tail;
    if (before != nullptr && distance(e.vtime, before->sched.vtime) < 0) {
        Vcpu* after = q.head;
        while (distance(e.vtime, after->sched.vtime) >= 0) after = after->sched.next;
        before = after->sched.previous;
    }
    Vcpu* after = before == nullptr ? q.head : before->sched.next;
    e.previous = before;
    e.next = after;
    (before == nullptr ? q.head : before->sched.next) = &v;
    (after == nullptr ? q.tail : after->sched.previous) = &v;
    e.queued = true;
    q.waiting.store(q.waiting.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    q.waiting_weight.store(q.waiting_weight.load(std::memory_order_relaxed) + e.weight, std::memory_order_relaxed);
    total_waiting.fetch_add(1, std::memory_order_relaxed);
}

void dequeue(RunQueue& q, Vcpu& v) {
    Entity& e = v.sched;
    (e.previous == nullptr ? q.head : e.previous->sched.next) = e.next;
    (e.next == nullptr ? q.tail : e.next->sched.previous) = e.previous;
    e.next = e.previous = nullptr;
    e.queued = false;
    q.waiting.store(q.waiting.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    q.waiting_weight.store(q.waiting_weight.load(std::memory_order_relaxed) - e.weight, std::memory_order_relaxed);
    total_waiting.fetch_sub(1, std::memory_order_relaxed);
}

void settle(RunQueue& q, Entity& e, u64 behind) {
    const u64 least = q.vtime - behind;
    const u64 most = q.vtime + 5 * static_cast<u64>(slice) + weighted(slice, e.weight);
    if (distance(e.vtime, least) < 0) e.vtime = least;
    if (distance(e.vtime, most) > 0) e.vtime = most;
}

void ask_to_reschedule(const RunQueue& q) {
    const u32 before = port::cpu_work(q.id).flags.fetch_or(CpuWork::reschedule);
    if ((before & CpuWork::reschedule) == 0 && q.id != port::this_cpu()) port::send_event_check(q.id);
}

namespace {
// How far behind the others (in virtual time) a vCPU may come.
constexpr u64 lag_allowed(Arrival a) {
    switch (a) {
        case Arrival::woken: return static_cast<u64>(sleep_bonus);
        case Arrival::released: return 0;
        case Arrival::refilled: break;
    }
    return static_cast<u64>(5 * slice);
}

// Where nobody waits, the queue stands where the running vCPU is by now: who comes then may not run for as long as that one did.
void follow_current(RunQueue& q, Nanos now) XYLEM_REQUIRES(q.lock) {
    if (q.head != nullptr || q.current == nullptr || q.idling.load(std::memory_order_relaxed)) return;
    const Entity& e = q.current->sched;
    const u64 at = e.vtime + weighted(std::max<Nanos>(0, now - q.since), e.weight);
    if (distance(at, q.vtime) > 0) q.vtime = at;
}
}  // namespace

void make_ready(Vcpu& v, Arrival arrival) XYLEM_NO_ANALYSIS {
    Entity& e = v.sched;
    for (bool placed = false;; placed = true) {
        RunQueue& q = lock_queue_of(v);
        if (!e.added || e.queued || e.parked || !runnable(e)) {
            q.lock.unlock();
            return;
        }
        if (q.current == &v) {  // still on its stack: it goes on by itself
            q.lock.unlock();
            ask_to_reschedule(q);
            return;
        }
        // A vCPU that is just leaving its stack cannot go to another CPU yet.
        const bool leaving = e.on_cpu.load(std::memory_order_acquire);
        const CpuId target = placed || leaving ? q.id : choose_cpu(e);
        if (target != q.id) {
            __atomic_store_n(&e.cpu.raw, target.raw, __ATOMIC_RELEASE);
            q.lock.unlock();
            continue;
        }
        const Nanos now = port::now();
        follow_current(q, now);
        settle(q, e, lag_allowed(arrival));
        e.boosted = arrival == Arrival::woken;
        set_state(e, RunState::runnable, now);
        if (leaving && !e.hard_affinity.has(q.id)) q.misplaced = true;
        enqueue(q, v);
        const bool matters = q.head == &v || q.misplaced || q.idling.load(std::memory_order_relaxed);
        q.lock.unlock();
        if (matters) ask_to_reschedule(q);
        return;
    }
}

}  // namespace xylem::sched
