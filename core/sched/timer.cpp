// SPDX-License-Identifier: MIT
#include "core/sched/timer.hpp"

#include <array>
#include <utility>

#include "base/sync/spinlock.hpp"
#include "core/port/sched.hpp"
#include "core/sched/entity.hpp"

namespace xylem {
namespace {

struct alignas(64) TimerQueue {
    Spinlock lock;  // rank: innermost
    Timer* root XYLEM_GUARDED_BY(lock) = nullptr;
    Timer* running XYLEM_GUARDED_BY(lock) = nullptr;  // its handler is being executed
    // What the hardware was told. Never later than the root's deadline, except between a remote change and its IPI; it may be
    // earlier: taking a timer away does not touch the hardware, the interrupt finds nothing due and arms the next.
    Nanos programmed XYLEM_GUARDED_BY(lock) = never;
};

constinit std::array<TimerQueue, sched::CpuMask::capacity> queues{};

TimerQueue& queue_of(CpuId cpu) {
    return queues[cpu.raw];
}

// --- pairing heap -----------------------------------------------------------------------------------------------------------
// Merges two roots (either may be null): the later one becomes the other's first child.
Timer* meld(Timer* a, Timer* b) {
    if (a == nullptr) return b;
    if (b == nullptr) return a;
    if (b->deadline < a->deadline) std::swap(a, b);
    b->previous = a;
    b->sibling = a->child;
    if (b->sibling != nullptr) b->sibling->previous = b;
    a->child = b;
    return a;
}

// Merges a list of siblings into one heap: pairs from the left, then the pairs from the right.
Timer* meld_siblings(Timer* first) {
    Timer* pairs = nullptr;  // stack linked by `sibling`
    while (first != nullptr) {
        Timer* a = first;
        Timer* b = a->sibling;
        first = b == nullptr ? nullptr : b->sibling;
        a->sibling = nullptr;
        if (b != nullptr) b->sibling = nullptr;
        Timer* pair = meld(a, b);
        pair->sibling = pairs;
        pairs = pair;
    }
    Timer* root = nullptr;
    while (pairs != nullptr) {
        Timer* next = pairs->sibling;
        pairs->sibling = nullptr;
        root = meld(root, pairs);
        pairs = next;
    }
    if (root != nullptr) root->previous = nullptr;
    return root;
}

void insert(TimerQueue& q, Timer& t) XYLEM_REQUIRES(q.lock) {
    t.child = t.sibling = t.previous = nullptr;
    t.armed = true;
    q.root = meld(q.root, &t);
}

void take_out(TimerQueue& q, Timer& t) XYLEM_REQUIRES(q.lock) {
    Timer* below = meld_siblings(t.child);
    if (&t == q.root) {
        q.root = below;
    } else {
        if (t.previous->child == &t)
            t.previous->child = t.sibling;
        else
            t.previous->sibling = t.sibling;
        if (t.sibling != nullptr) t.sibling->previous = t.previous;
        q.root = meld(q.root, below);
    }
    t.child = t.sibling = t.previous = nullptr;
    t.armed = false;
}

// --- queues -----------------------------------------------------------------------------------------------------------------
CpuId cpu_of(const Timer& t) {
    return CpuId(__atomic_load_n(&t.cpu.raw, __ATOMIC_ACQUIRE));
}

// Locks the queue that the timer belongs to. Interrupts off.
TimerQueue& lock_queue(Timer& t) XYLEM_NO_ANALYSIS {
    for (;;) {
        const CpuId cpu = cpu_of(t);
        TimerQueue& q = queue_of(cpu);
        q.lock.lock();
        if (cpu_of(t) == cpu) return q;
        q.lock.unlock();
    }
}

// Tells the hardware of an earlier deadline.
void reprogram(TimerQueue& q, CpuId cpu) XYLEM_REQUIRES(q.lock) {
    if (q.root == nullptr || q.root->deadline >= q.programmed) return;
    if (cpu == port::this_cpu()) {
        q.programmed = q.root->deadline;
        port::program_timer(q.programmed);
    } else if ((port::cpu_work(cpu).flags.fetch_or(CpuWork::timers) & CpuWork::timers) == 0) {
        port::send_event_check(cpu);
    }
}

void set_locked(TimerQueue& q, Timer& t, CpuId cpu, Nanos deadline) XYLEM_REQUIRES(q.lock) {
    if (t.armed) take_out(q, t);
    t.deadline = deadline;
    if (deadline == never) return;
    insert(q, t);
    if (q.root == &t) reprogram(q, cpu);
}

}  // namespace

void timer_set(Timer& timer, Nanos deadline) XYLEM_NO_ANALYSIS {
    const u64 flags = cpu::irq_save();
    TimerQueue& q = lock_queue(timer);
    set_locked(q, timer, timer.cpu, deadline);
    q.lock.unlock();
    cpu::irq_restore(flags);
}

void timer_set_here(Timer& timer, Nanos deadline) XYLEM_NO_ANALYSIS {
    const u64 flags = cpu::irq_save();
    const CpuId here = port::this_cpu();
    for (;;) {
        TimerQueue& q = lock_queue(timer);
        // While its handler runs elsewhere it stays there: that queue is where timer_cancel() looks for it.
        const bool stays = timer.cpu == here || q.running == &timer;
        if (stays) {
            set_locked(q, timer, timer.cpu, deadline);
        } else {
            if (timer.armed) take_out(q, timer);
            __atomic_store_n(&timer.cpu.raw, here.raw, __ATOMIC_RELEASE);
        }
        q.lock.unlock();
        if (stays) break;
    }
    cpu::irq_restore(flags);
}

void timer_cancel(Timer& timer) XYLEM_NO_ANALYSIS {
    for (;;) {
        const u64 flags = cpu::irq_save();
        TimerQueue& q = lock_queue(timer);
        if (timer.armed) take_out(q, timer);
        timer.deadline = never;
        // A handler runs with interrupts off: found running on this very CPU, it is our caller.
        const bool elsewhere = q.running == &timer && timer.cpu != port::this_cpu();
        q.lock.unlock();
        cpu::irq_restore(flags);
        if (!elsewhere) return;
        cpu::relax();
    }
}

void timers_run() XYLEM_NO_ANALYSIS {
    const CpuId here = port::this_cpu();
    TimerQueue& q = queue_of(here);
    const Nanos now = port::now();
    q.lock.lock();
    q.programmed = never;  // the one-shot is spent
    // What a handler sets in the past is for the next interrupt: handlers cannot keep us here.
    while (q.root != nullptr && q.root->deadline <= now) {
        Timer& t = *q.root;
        take_out(q, t);
        t.deadline = never;
        q.running = &t;
        q.lock.unlock();
        t.handler(t.context);
        q.lock.lock();
        q.running = nullptr;
        // `t` may be gone now.
    }
    if (q.root != nullptr && q.root->deadline < q.programmed) {
        q.programmed = q.root->deadline;
        port::program_timer(q.programmed);
    }
    q.lock.unlock();
}

void timers_reprogram() XYLEM_NO_ANALYSIS {
    const CpuId here = port::this_cpu();
    TimerQueue& q = queue_of(here);
    q.lock.lock();
    reprogram(q, here);
    q.lock.unlock();
}

void timers_dump(text::Sink& out) {
    text::format(out, "timers at {} ns\n", port::now());
    for (u32 i = 0; i < port::online_cpus(); ++i) {
        TimerQueue& q = queue_of(CpuId(i));
        IrqGuard guard(q.lock);
        text::format(out, "CPU{}: hardware at {}\n", i, q.programmed);
        // Pre-order walk by the links: down, right, or up (to the parent: the `previous` whose child we are).
        const Timer* t = q.root;
        for (unsigned shown = 0; t != nullptr && shown < 64; ++shown) {
            text::format(out, "  {} handler {} context {}\n", t->deadline, reinterpret_cast<const void*>(t->handler), t->context);
            if (t->child != nullptr) {
                t = t->child;
                continue;
            }
            while (t != nullptr && t->sibling == nullptr) {
                while (t->previous != nullptr && t->previous->child != t) t = t->previous;
                t = t->previous;
            }
            if (t != nullptr) t = t->sibling;
        }
    }
}

}  // namespace xylem
