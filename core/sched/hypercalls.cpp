// SPDX-License-Identifier: MIT
#include "core/sched/hypercalls.hpp"

#include <algorithm>
#include <array>

#include "base/log.hpp"
#include "core/evtchn/events.hpp"
#include "core/port/guest.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem {
namespace {

constexpr u32 max_polled_ports = 128;

// SCHEDOP_block: events are unmasked, and the vCPU sleeps unless one is there.
long block(Vcpu& v) {
    // Who raises an event sets the pending byte, then looks whether we sleep; we do it the other way round.
    sched::begin_block();
    volatile u8& mask = v.info->evtchn_upcall_mask;
    mask = 0;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (event_deliverable(v) || (v.pending_work.load(std::memory_order_relaxed) & ~work::update_runstate) != 0)
        sched::cancel_block();
    else
        sched::block_current();
    return 0;
}

// In the order of the list: a pending port is found before a bad one behind it.
Result<bool> any_pending(Domain& d, const std::array<evtchn_port_t, max_polled_ports>& ports, u32 count) {
    for (u32 i = 0; i < count; ++i)
        if (TRY(evtchn::is_pending(d, Port(ports[i])))) return true;
    return false;
}

Result<long> poll(Vcpu& v, u64 arg) {
    const sched_poll op = TRY(GuestPtr<sched_poll>(arg).read());
    if (op.nr_ports > max_polled_ports) return fail(XEN_EINVAL);
    std::array<evtchn_port_t, max_polled_ports> ports;
    TRY(GuestPtr<evtchn_port_t>(op.ports).read_many(ports.data(), op.nr_ports));

    sched::Entity& e = v.sched;
    e.poll_port.store(op.nr_ports == 1 ? ports[0] : sched::Entity::any_port, std::memory_order_relaxed);
    v.domain.sched.polling.fetch_add(1);
    e.polling.store(true);
    sched::begin_block();
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const Nanos timeout = op.timeout == 0 ? never : static_cast<Nanos>(std::min<u64>(op.timeout, static_cast<u64>(never)));
    const Result<bool> pending = any_pending(v.domain, ports, op.nr_ports);
    if (event_deliverable(v) || (v.pending_work.load(std::memory_order_relaxed) & ~work::update_runstate) != 0 || !pending ||
        *pending || (timeout != never && timeout <= port::now())) {
        sched::cancel_block();
    } else {
        if (timeout != never) timer_set_here(e.poll_timer, timeout);
        sched::block_current();
        if (timeout != never) timer_cancel(e.poll_timer);
    }
    e.polling.store(false);
    v.domain.sched.polling.fetch_sub(1);
    if (!pending) return fail(pending.error());
    return 0;
}

Result<long> shutdown(Vcpu& v, u64 arg) {
    const sched_shutdown op = TRY(GuestPtr<sched_shutdown>(arg).read());
    if (op.reason > SHUTDOWN_MAX) return fail(XEN_EINVAL);
    log::info("d{}: shuts down, reason {}", v.domain.id, op.reason);
    shutdown_domain(v.domain, op.reason);
    return 0;  // the exit path stops us; whoever resumes the domain may change this answer in the vCPU's registers
}

Result<long> remote_shutdown(Vcpu& v, u64 arg) {
    const sched_remote_shutdown op = TRY(GuestPtr<sched_remote_shutdown>(arg).read());
    if (!v.domain.is_control_domain) return fail(XEN_EPERM);
    if (op.reason > SHUTDOWN_MAX) return fail(XEN_EINVAL);
    const DomainRef d = TRY(find_domain_for(v.domain, DomId(op.domain_id)));
    if (d.get() == &v.domain) return fail(XEN_EPERM);
    shutdown_domain(*d, op.reason);
    return 0;
}

void on_watchdog(void* context) {
    Domain& d = *static_cast<Domain*>(context);
    log::warning("d{}: its watchdog was not served in time", d.id);
    shutdown_domain(d, SHUTDOWN_watchdog);
}

// Watchdogs are numbered from 1; 0 asks for a new one. A timeout (seconds) of 0 stops one.
Result<long> watchdog(Vcpu& v, u64 arg) {
    const sched_watchdog op = TRY(GuestPtr<sched_watchdog>(arg).read());
    sched::DomainShare& share = v.domain.sched;
    constexpr u32 count = sched::DomainShare::watchdogs;
    if (op.id > count) return fail(XEN_EINVAL);
    Guard guard(v.domain.lock);
    if (op.id == 0) {
        if (op.timeout == 0) return fail(XEN_EINVAL);
        for (u32 i = 0; i < count; ++i) {
            if (share.watchdog_used[i]) continue;
            share.watchdog_used[i] = true;
            share.watchdog[i].handler = on_watchdog;
            share.watchdog[i].context = &v.domain;
            timer_set(share.watchdog[i], port::now() + Nanos{op.timeout} * 1'000'000'000);
            return i + 1;
        }
        return fail(XEN_ENOSPC);
    }
    const u32 i = op.id - 1;
    if (!share.watchdog_used[i]) return fail(XEN_EINVAL);
    if (op.timeout == 0) {
        timer_cancel(share.watchdog[i]);
        share.watchdog_used[i] = false;
    } else {
        timer_set(share.watchdog[i], port::now() + Nanos{op.timeout} * 1'000'000'000);
    }
    return 0;
}

long answer(Result<long> r) {
    return r ? *r : to_hypercall_result(r.error());
}

}  // namespace

long sched_op(Vcpu& v, u64 command, u64 arg) {
    switch (command) {
        case SCHEDOP_block: return block(v);
        case SCHEDOP_yield: sched::yield_current(); return 0;
        case SCHEDOP_poll: return answer(poll(v, arg));
        case SCHEDOP_shutdown: return answer(shutdown(v, arg));
        case SCHEDOP_remote_shutdown: return answer(remote_shutdown(v, arg));
        case SCHEDOP_watchdog: return answer(watchdog(v, arg));
        case SCHEDOP_shutdown_code: {
            // Only tells the reason in advance of a shutdown that something else performs.
            const auto op = GuestPtr<sched_shutdown>(arg).read();
            if (!op) return to_hypercall_result(op.error());
            if (op->reason > SHUTDOWN_MAX) return to_hypercall_result(XEN_EINVAL);
            if (!v.domain.shutting_down.load()) v.domain.shutdown_code.store(op->reason);
            return 0;
        }
        default: return to_hypercall_result(XEN_ENOSYS);  // pin_override too: drivers that ask for it do without
    }
}

// A time that is negative to some kernels and far away to others: as on Xen, soon, but not at once.
constexpr Nanos for_negative_timeouts = 100'000'000;

long set_timer_op(Vcpu& v, u64 timeout) {
    const auto deadline = static_cast<Nanos>(timeout);
    timer_set_here(v.singleshot, deadline == 0 ? never : deadline < 0 ? port::now() + for_negative_timeouts : deadline);
    return 0;
}

namespace sched {

void wake_pollers_slow(Domain& d, Port port) {
    for (u32 i = 0; i < d.max_vcpus; ++i) {
        Vcpu* v = d.vcpus[i];
        if (v == nullptr || !v->sched.polling.load()) continue;
        const u32 wanted = v->sched.poll_port.load(std::memory_order_relaxed);
        if (wanted == port.raw || wanted == Entity::any_port) wake(*v);
    }
}

}  // namespace sched

void shutdown_domain(Domain& d, u32 reason) {
    if (d.is_hardware_domain) {
        port::machine_shutdown(reason);
        return;
    }
    {
        IrqGuard guard(d.shutdown_lock);
        if (d.shutting_down.load()) return;
        d.shutting_down.store(true);
        u32 told = Domain::no_shutdown_code;
        d.shutdown_code.compare_exchange_strong(told, reason);
        for_each_vcpu(d, sched::pause);
    }
    complete_shutdown(d);
}

void complete_shutdown(Domain& d) {
    {
        IrqGuard guard(d.shutdown_lock);
        if (!d.shutting_down.load() || d.shut_down.load()) return;
        for (u32 i = 0; i < d.max_vcpus; ++i)
            if (d.vcpus[i] != nullptr && !sched::is_out_of_guest(*d.vcpus[i])) return;
        d.shut_down.store(true);
    }
    const u32 port = d.suspend_port.load();
    if (d.shutdown_code.load() == SHUTDOWN_suspend && port != 0)
        evtchn::notify(d, Port(port));
    else
        send_global_virq(VIRQ_DOM_EXC);
}

void resume_domain(Domain& d) {
    IrqGuard guard(d.shutdown_lock);
    if (!d.shutting_down.load()) return;
    d.shutting_down.store(false);
    d.shut_down.store(false);
    d.shutdown_code.store(Domain::no_shutdown_code);
    for_each_vcpu(d, sched::unpause);
}

void cancel_domain_timers(Domain& d) {
    for (Timer& t : d.sched.watchdog) timer_cancel(t);
    timer_cancel(d.sched.refill);
}

}  // namespace xylem
