// SPDX-License-Identifier: MIT
// Between CPUs: where a vCPU goes, and how work finds idle hands.
#include <algorithm>

#include "core/sched/run_queue.hpp"

namespace xylem::sched {
namespace {

// Virtual times of CPUs may differ by that much before somebody moves...
constexpr i64 unfair = 2 * slice;
// ... and by no more than that: a CPU further behind (its vCPUs are pinned, or it slept) is moved forward.
constexpr i64 max_divergence = 5 * slice;

// The greatest virtual time of any CPU that has vCPUs waiting.
constinit std::atomic<u64> lead{0};

bool started(const RunQueue& q) {
    return q.idle != nullptr;
}

u32 load_of(const RunQueue& q) {
    return q.waiting.load(std::memory_order_relaxed) + (q.idling.load(std::memory_order_relaxed) ? 0 : 1);
}

// Weights of everybody who wants this CPU.
u64 weight_of(const RunQueue& q) {
    return q.waiting_weight.load(std::memory_order_relaxed) +
           (q.idling.load(std::memory_order_relaxed) ? 0 : q.seen_weight.load(std::memory_order_relaxed));
}

// What the running vCPU's virtual time is about now. Without the lock: a hint.
u64 seen_vtime(const RunQueue& q, Nanos now) {
    const Nanos ran = std::max<Nanos>(0, now - q.seen_since.load(std::memory_order_relaxed));
    return q.seen_vtime.load(std::memory_order_relaxed) + weighted(ran, q.seen_weight.load(std::memory_order_relaxed));
}

template <class F>
CpuId find_idle(u32 from, u32 cpus, F&& fits) {
    for (u32 i = 0; i < cpus; ++i) {
        const CpuId c((from + i) % cpus);
        const RunQueue& q = queue_of(c);
        if (fits(c) && q.idling.load(std::memory_order_relaxed) && q.waiting.load(std::memory_order_relaxed) == 0) return c;
    }
    return CpuId(~u32{0});
}

// The waiting vCPU of `from` that lags most and may come to `to`.
Vcpu* candidate(RunQueue& from, const RunQueue& to) {
    for (Vcpu* v = from.head; v != nullptr; v = v->sched.next)
        if (v->sched.hard_affinity.has(to.id) && !v->sched.on_cpu.load(std::memory_order_acquire)) return v;
    return nullptr;
}

// Takes one vCPU over. With `only_lagging`: if it is behind what runs here.
bool pull(RunQueue& from, RunQueue& to, bool only_lagging) XYLEM_NO_ANALYSIS {
    RunQueue& low = from.id < to.id ? from : to;
    RunQueue& high = from.id < to.id ? to : from;
    low.lock.lock();
    high.lock.lock();
    Vcpu* v = candidate(from, to);
    if (v != nullptr && only_lagging) {
        const u64 mine = to.head == nullptr || distance(to.current->sched.vtime, to.head->sched.vtime) < 0
                             ? to.current->sched.vtime
                             : to.head->sched.vtime;
        if (weight_of(from) < weight_of(to) || distance(mine, v->sched.vtime) < unfair) v = nullptr;
    }
    if (v != nullptr) {
        Entity& e = v->sched;
        dequeue(from, *v);
        __atomic_store_n(&e.cpu.raw, to.id.raw, __ATOMIC_RELEASE);
        settle(to, e, static_cast<u64>(max_divergence));
        enqueue(to, *v);
    }
    high.lock.unlock();
    low.lock.unlock();
    return v != nullptr;
}

}  // namespace

CpuId choose_cpu(const Entity& e) {
    const RunQueue& last = queue_of(e.cpu);
    const bool last_fits = e.hard_affinity.has(e.cpu) && started(last);
    if (last_fits && e.soft_affinity.has(e.cpu) && last.idling.load(std::memory_order_relaxed) &&
        last.waiting.load(std::memory_order_relaxed) == 0)
        return e.cpu;
    const u32 cpus = port::online_cpus();
    CpuId found = find_idle(e.cpu.raw, cpus, [&](CpuId c) { return e.hard_affinity.has(c) && e.soft_affinity.has(c); });
    if (found.raw < cpus) return found;
    found = find_idle(e.cpu.raw, cpus, [&](CpuId c) { return e.hard_affinity.has(c); });
    if (found.raw < cpus) return found;
    // Everybody is busy: stay where the caches are warm, unless another CPU has much less to do.
    u32 best_load = last_fits ? load_of(last) : ~u32{0};
    u32 best = e.cpu.raw;
    for (u32 i = 0; i < cpus; ++i) {
        const RunQueue& q = queue_of(CpuId(i));
        if (!e.hard_affinity.has(CpuId(i)) || !started(q)) continue;
        const u32 load = load_of(q);
        if (best_load == ~u32{0} || load + 1 < best_load) {
            best_load = load;
            best = i;
        }
    }
    return CpuId(best);
}

bool steal(RunQueue& to) {
    const u32 cpus = port::online_cpus();
    for (u32 i = 1; i < cpus; ++i) {
        RunQueue& from = queue_of(CpuId((to.id.raw + i) % cpus));
        if (from.waiting.load(std::memory_order_relaxed) != 0 && pull(from, to, false)) return true;
    }
    return false;
}

// A busy CPU that is offered something looks for the vCPU that lags most behind its own.
void balance(RunQueue& to) {
    const u32 cpus = port::online_cpus();
    for (u32 i = 1; i < cpus; ++i) {
        RunQueue& from = queue_of(CpuId((to.id.raw + i) % cpus));
        if (from.waiting.load(std::memory_order_relaxed) != 0 && pull(from, to, true)) return;
    }
}

void offer(RunQueue& from) XYLEM_NO_ANALYSIS {
    const u32 cpus = port::online_cpus();
    const Nanos now = port::now();
    from.lock.lock();
    const u64 front = from.head == nullptr ? from.vtime : from.head->sched.vtime;
    from.lock.unlock();
    for (u32 i = 1; i < cpus; ++i) {
        RunQueue& to = queue_of(CpuId((from.id.raw + i) % cpus));
        if (!started(to)) continue;
        bool call = to.idling.load(std::memory_order_relaxed);
        if (!call) {
            const i64 ahead = distance(seen_vtime(to, now), front);
            call = (ahead >= unfair && weight_of(from) >= weight_of(to)) || ahead < -2 * max_divergence;
        }
        if (!call) continue;
        from.lock.lock();
        const bool somebody = candidate(from, to) != nullptr;
        from.lock.unlock();
        if (!somebody) continue;
        to.offered.store(true, std::memory_order_relaxed);
        ask_to_reschedule(to);
        return;
    }
}

void catch_up(RunQueue& q) {
    const u64 front = lead.load(std::memory_order_relaxed);
    const i64 behind = distance(front, q.vtime);
    if (behind > 2 * max_divergence) {
        const u64 step = static_cast<u64>(behind - max_divergence);
        q.vtime += step;
        for (Vcpu* v = q.head; v != nullptr; v = v->sched.next) v->sched.vtime += step;
        if (!q.current->sched.is_idle) q.current->sched.vtime += step;
    } else if (behind < 0 && q.head != nullptr) {
        // A lost race costs precision, not correctness.
        lead.store(q.vtime, std::memory_order_relaxed);
    }
}

}  // namespace xylem::sched
