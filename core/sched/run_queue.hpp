// SPDX-License-Identifier: MIT
// Inside the scheduler: a CPU's run queue. For core/sched/*.cpp only.
#pragma once

#include "core/sched/scheduler.hpp"

namespace xylem::sched {

struct alignas(64) RunQueue {
    Spinlock lock;
    CpuId id{0};
    Vcpu* current = nullptr;  // whose stack the CPU is on, or switches to
    Vcpu* idle = nullptr;     // null: CPU not started
    // The CPU has nothing to run: `current` is the idle vCPU, or a vCPU that blocked and idles in place. Read without the lock
    // as a hint.
    std::atomic<bool> idling{false};
    std::atomic<u32> waiting{0};         // vCPUs in the queue; read without the lock as a hint
    std::atomic<u64> waiting_weight{0};  // their weights together
    bool misplaced = false;              // somebody in the queue or running may not be here any more (affinity)
    bool yielding = false;
    std::atomic<bool> offered{false};  // another CPU has something for this one
    Vcpu* head = nullptr;              // ordered by vtime
    Vcpu* tail = nullptr;
    u64 vtime = 0;          // the greatest vtime that was ever picked here: where the queue stands
    Nanos since = 0;        // when `current` was last charged
    Nanos slice_start = 0;  // when `current` got the CPU, or its last slice ended
    Nanos idle_since = 0;
    Nanos idle_total = 0;
    std::atomic<Nanos> ratelimit{default_ratelimit};
    Timer tick;  // end of slice or ratelimit; armed only while somebody waits or a cap runs out

    // `current` as others see it without the lock (hints for balancing).
    std::atomic<u64> seen_vtime{0};
    std::atomic<Nanos> seen_since{0};
    std::atomic<u32> seen_weight{default_weight};
};

RunQueue& queue_of(CpuId cpu);
inline RunQueue& this_queue() {
    return queue_of(port::this_cpu());
}
// vCPUs in all queues together: nobody looks for work where there is none.
extern std::atomic<u32> total_waiting;

// Signed distance a - b of virtual times.
inline i64 distance(u64 a, u64 b) {
    return static_cast<i64>(a - b);
}
inline u64 weighted(Nanos served, u32 weight) {
    if (weight == default_weight) return static_cast<u64>(served);
    return static_cast<u64>(served) * default_weight / weight;
}
inline bool is_stopped(const Entity& e) {
    return e.down.load(std::memory_order_relaxed) || e.pause_count.load(std::memory_order_relaxed) != 0;
}
// A hypercall in progress goes on whatever was asked meanwhile: stops take effect on the way to the guest.
inline bool runnable(const Entity& e) {
    if (e.blocked.load(std::memory_order_acquire)) return false;
    if (e.ending.load(std::memory_order_relaxed)) [[unlikely]]
        return !e.ended.load(std::memory_order_relaxed);
    return !e.at_exit.load(std::memory_order_relaxed) || !is_stopped(e);
}

// Locks the queue of the CPU that the vCPU belongs to. Interrupts off.
RunQueue& lock_queue_of(Vcpu& v);
void enqueue(RunQueue& q, Vcpu& v) XYLEM_REQUIRES(q.lock);
void dequeue(RunQueue& q, Vcpu& v) XYLEM_REQUIRES(q.lock);
// The vCPU comes to this queue: `behind` and a weight-dependent lead are all the virtual time it may bring along.
void settle(RunQueue& q, Entity& e, u64 behind) XYLEM_REQUIRES(q.lock);
// Makes the CPU call schedule() soon.
void ask_to_reschedule(const RunQueue& q);
// Not running, not queued and perhaps able to run: finds it a CPU. Interrupts off, no locks held.
enum class Arrival : u8 {
    woken,     // by an event: soon, and with a little advance for having slept
    released,  // from a pause, or brought up: that it could not run earns it nothing
    refilled,  // its domain has budget again
};
void make_ready(Vcpu& v, Arrival arrival);
// Decides who runs on this CPU and switches. Interrupts off, no locks held. May return on another CPU.
void schedule();
void set_state(Entity& e, RunState s, Nanos now);
// Changes the weight; time served so far is charged at the old one. Interrupts off.
void set_weight(Vcpu& v, u32 weight);

// --- balancing (balance.cpp)

// The CPU a vCPU that becomes runnable should go to.
CpuId choose_cpu(const Entity& e);
// Takes a waiting vCPU from another CPU's queue into this one's: any when this CPU idles, else one that lags behind `current`.
// Interrupts off, no locks held. True where it found one.
bool steal(RunQueue& to);
// A busy CPU that was offered something takes one vCPU that lags behind its own. Interrupts off, no locks held.
void balance(RunQueue& to);
// This CPU has vCPUs waiting: tells a CPU that idles or is ahead to come and steal.
void offer(RunQueue& from);
// Keeps this CPU's virtual time from falling far behind the others'.
void catch_up(RunQueue& q) XYLEM_REQUIRES(q.lock);

// --- caps (share.cpp)

// Charges a capped domain.
void charge(DomainShare& share, Nanos served, Nanos now);
// What is left of the budget in this period; `never` without a cap.
Nanos budget_left(Domain& d, Nanos now);
// The vCPU waits for the next period; arms the refill.
void park(Vcpu& v);

}  // namespace xylem::sched
