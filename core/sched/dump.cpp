// SPDX-License-Identifier: MIT
// Debug key 'r': who runs, who waits, who sleeps where.
#include "core/sched/run_queue.hpp"

namespace xylem::sched {
namespace {

void dump_vcpu(text::Sink& out, std::string_view what, const Vcpu& v) {
    static constexpr std::string_view states[] = {"running", "runnable", "blocked", "offline"};
    const Entity& e = v.sched;
    text::format(out, "  {} d{}v{} {} vtime {} weight {} pauses {}{}{}{}\n", what, v.domain.id, v.id,
                 states[static_cast<u8>(e.state)], e.vtime, e.weight, e.pause_count.load(std::memory_order_relaxed),
                 e.down.load(std::memory_order_relaxed) ? " down" : "", e.parked ? " capped" : "", e.boosted ? " boosted" : "");
}

}  // namespace

void dump(text::Sink& out) {
    const Nanos now = port::now();
    text::format(out, "scheduler at {} ns, {} vCPUs wait\n", now, total_waiting.load(std::memory_order_relaxed));
    for (u32 i = 0; i < port::online_cpus(); ++i) {
        RunQueue& q = queue_of(CpuId(i));
        if (q.idle == nullptr) continue;
        IrqGuard guard(q.lock);
        const bool idling = q.idling.load(std::memory_order_relaxed);
        const Nanos idle = q.idle_total + (idling ? now - q.idle_since : 0);
        text::format(out, "CPU{}: {} waiting, vtime {}, idle {} ns{}\n", i, q.waiting.load(std::memory_order_relaxed), q.vtime,
                     idle, idling ? " (now)" : "");
        dump_vcpu(out, "on", *q.current);
        for (const Vcpu* v = q.head; v != nullptr; v = v->sched.next) dump_vcpu(out, "waits", *v);
    }
}

}  // namespace xylem::sched
