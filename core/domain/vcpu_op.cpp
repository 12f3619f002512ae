// SPDX-License-Identifier: MIT
// Hypercall 24: what a guest does with its vCPUs.
#include <algorithm>

#include "core/domain/vcpu_setup.hpp"
#include "core/evtchn/events.hpp"
#include "core/port/guest.hpp"
#include "core/sched/hypercalls.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem {
namespace {

constexpr Nanos min_period = 1'000'000;
constexpr Nanos max_period = Nanos{3600} * 24 * 1'000'000'000;

void on_singleshot(void* context) {
    evtchn::send_vcpu_virq(*static_cast<Vcpu*>(context), VIRQ_TIMER);
}

void on_periodic(void* context) {
    Vcpu& v = *static_cast<Vcpu*>(context);
    const Nanos period = __atomic_load_n(&v.period, __ATOMIC_ACQUIRE);
    if (period == 0) return;
    evtchn::send_vcpu_virq(v, VIRQ_TIMER);
    timer_set(v.periodic, port::now() + period);
}

void set_period(Vcpu& v, Nanos period) {
    __atomic_store_n(&v.period, Nanos{0}, __ATOMIC_RELEASE);
    timer_cancel(v.periodic);
    if (period == 0) return;
    __atomic_store_n(&v.period, period, __ATOMIC_RELEASE);
    timer_set(v.periodic, port::now() + period);
}

Result<long> initialise(Vcpu& v, u64 arg) {
    VcpuSetup setup = TRY(VcpuSetup::begin(v));
    TRY(port::initialise_vcpu(v, arg));
    setup.succeed();
    return 0;
}

Result<long> up(Vcpu& v) {
    if (!is_set_up(v)) return fail(XEN_EINVAL);
    sched::bring_up(v);
    return 0;
}

// The last one to go takes the domain with it.
Result<long> down(Vcpu& v) {
    Domain& d = v.domain;
    bool others = false;
    {
        Guard guard(d.lock);
        for (u32 i = 0; i < d.max_vcpus; ++i) {
            const Vcpu* other = d.vcpus[i];
            others = others || (other != nullptr && other != &v && !other->sched.down.load());
        }
        if (others) sched::take_down(v);
    }
    if (!others) shutdown_domain(d, SHUTDOWN_poweroff);
    return 0;
}

Result<long> get_runstate(Vcpu& v, u64 arg) {
    TRY(GuestPtr<vcpu_runstate_info>(arg).write(sched::runstate_snapshot(v)));
    return 0;
}

// The address is the target vCPU's own: it is the exit path that writes there, and an area that is not mapped is no error.
Result<long> register_runstate(Vcpu& v, u64 arg) {
    const auto op = TRY(GuestPtr<vcpu_register_runstate_memory_area>(arg).read());
    v.runstate_guest_va.store(op.addr.p, std::memory_order_relaxed);
    if (op.addr.p == 0) return 0;
    if (&v == &port::current())
        publish_runstate(v);
    else  // the kernel's mappings are the same on all its vCPUs: what it reads before the target runs is right, too
        (void)GuestPtr<vcpu_runstate_info>(op.addr.p).write(sched::runstate_snapshot(v));
    return 0;
}

Result<long> register_time(Vcpu& v, u64 arg) {
    const auto op = TRY(GuestPtr<vcpu_register_time_memory_area>(arg).read());
    v.time_guest_va.store(op.addr.p, std::memory_order_relaxed);
    if (op.addr.p != 0 && &v == &port::current()) port::publish_vcpu_time(v);
    return 0;
}

Result<long> set_periodic(Vcpu& v, u64 arg) {
    const auto op = TRY(GuestPtr<vcpu_set_periodic_timer>(arg).read());
    if (op.period_ns < static_cast<u64>(min_period) || op.period_ns > static_cast<u64>(max_period)) return fail(XEN_EINVAL);
    set_period(v, static_cast<Nanos>(op.period_ns));
    return 0;
}

Result<long> set_singleshot(Vcpu& v, u64 arg) {
    if (&v != &port::current()) return fail(XEN_EINVAL);
    const auto op = TRY(GuestPtr<vcpu_set_singleshot_timer>(arg).read());
    const Nanos deadline = static_cast<Nanos>(std::min<u64>(op.timeout_abs_ns, static_cast<u64>(never) - 1));
    if ((op.flags & VCPU_SSHOTTMR_future) != 0 && deadline < port::now()) return fail(XEN_ETIME);
    timer_set_here(v.singleshot, deadline);
    return 0;
}

Result<long> stop_singleshot(Vcpu& v) {
    if (&v != &port::current()) return fail(XEN_EINVAL);
    timer_cancel(v.singleshot);
    return 0;
}

// Moves vcpu_info to a page of the guest. Nothing may be lost on the way: everything is marked pending there.
Result<long> register_info(Vcpu& v, u64 arg) {
    const auto op = TRY(GuestPtr<vcpu_register_vcpu_info>(arg).read());
    if (op.offset > page_size - sizeof(vcpu_info) || op.offset % alignof(vcpu_info) != 0) return fail(XEN_ENXIO);
    Domain& d = v.domain;
    const bool is_current = &v == &port::current();
    if (!is_current && !v.sched.down.load()) return fail(XEN_EINVAL);
    WritablePage page = TRY(WritablePage::get(d, Gfn(op.mfn)));
    {
        Guard guard(d.lock);
        if (v.info_page) return fail(XEN_EINVAL);
        auto* to = reinterpret_cast<vcpu_info*>(static_cast<u8*>(page.address()) + op.offset);
        vcpu_info now{};
        if (v.info == &d.dummy_vcpu_info)
            now.evtchn_upcall_mask = 1;
        else
            now = *v.info;  // by a copy: both may overlap in shared_info
        *to = now;
        v.info_page = std::move(page);
        __atomic_store_n(&v.info, to, __ATOMIC_SEQ_CST);
        __atomic_store_n(&to->evtchn_pending_sel, ~xen_ulong_t{0}, __ATOMIC_SEQ_CST);
        __atomic_store_n(&to->evtchn_upcall_pending, u8{1}, __ATOMIC_SEQ_CST);
    }
    if (!is_current) return 0;
    const u64 irq = cpu::irq_save();
    port::update_vcpu_time(v);
    cpu::irq_restore(irq);
    return 0;
}

Result<long> dispatch(Vcpu& target, u64 command, u64 arg) {
    switch (command) {
        case VCPUOP_initialise: return initialise(target, arg);
        case VCPUOP_up: return up(target);
        case VCPUOP_down: return down(target);
        case VCPUOP_get_runstate_info: return get_runstate(target, arg);
        case VCPUOP_register_runstate_memory_area: return register_runstate(target, arg);
        case VCPUOP_set_periodic_timer: return set_periodic(target, arg);
        case VCPUOP_stop_periodic_timer: set_period(target, 0); return 0;
        case VCPUOP_set_singleshot_timer: return set_singleshot(target, arg);
        case VCPUOP_stop_singleshot_timer: return stop_singleshot(target);
        case VCPUOP_register_vcpu_info: return register_info(target, arg);
        case VCPUOP_send_nmi: send_nmi(target); return 0;
        case VCPUOP_get_physid: return fail(XEN_EINVAL);  // only for pinned vCPUs, which we do not tell the guest of
        case VCPUOP_register_vcpu_time_memory_area: return register_time(target, arg);
        default: return fail(XEN_ENOSYS);
    }
}

}  // namespace

long vcpu_op(Vcpu& v, u64 command, u64 vcpu_id, u64 arg) {
    Domain& d = v.domain;
    if (vcpu_id >= d.max_vcpus) return to_hypercall_result(XEN_ENOENT);
    Vcpu* target = d.vcpus[vcpu_id];
    if (target == nullptr) return to_hypercall_result(XEN_ENOENT);
    if (command == VCPUOP_is_up) return target->sched.down.load(std::memory_order_relaxed) ? 0 : 1;
    const Result<long> r = dispatch(*target, command, arg);
    return r ? *r : to_hypercall_result(r.error());
}

void init_vcpu_timers(Vcpu& v) {
    v.singleshot.handler = on_singleshot;
    v.periodic.handler = on_periodic;
    v.sched.poll_timer.handler = [](void* context) { sched::wake(*static_cast<Vcpu*>(context)); };
    for (Timer* t : {&v.singleshot, &v.periodic, &v.sched.poll_timer}) {
        t->context = &v;
        t->cpu = v.sched.cpu;
    }
}

void start_default_periodic_timer(Vcpu& v) {
    set_period(v, 10'000'000);
}

}  // namespace xylem
