// SPDX-License-Identifier: MIT
#include "core/control/domain_info.hpp"

#include <cstring>

#include "core/domain/domain_list.hpp"
#include "core/port/guest.hpp"
#include "core/port/preempt.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem::control {

xen_domctl_getdomaininfo describe(Domain& d) {
    xen_domctl_getdomaininfo info{};
    info.domain = d.id.raw;
    bool blocked = true;
    bool running = false;
    for (u32 i = 0; i < d.max_vcpus; ++i) {
        Vcpu* v = d.vcpus[i];
        if (v == nullptr) continue;
        const vcpu_runstate_info state = sched::runstate_snapshot(*v);
        info.cpu_time += state.time[RUNSTATE_running];
        if (v->sched.down.load(std::memory_order_relaxed)) continue;
        ++info.nr_online_vcpus;
        running = running || state.state == RUNSTATE_running;
        blocked = blocked && v->sched.blocked.load(std::memory_order_relaxed);
    }
    if (info.nr_online_vcpus != 0) info.flags = (blocked ? XEN_DOMINF_blocked : 0) | (running ? XEN_DOMINF_running : 0);
    // Tools take "dying" for what is left of a domain that is gone; until then its memory still counts as in use.
    if (d.life.load() == Life::dead) info.flags |= XEN_DOMINF_dying;
    if (d.controller_pauses.load() != 0) info.flags |= XEN_DOMINF_paused;
    if (d.shut_down.load()) info.flags |= XEN_DOMINF_shutdown;
    info.flags |= (d.shutdown_code.load() & XEN_DOMINF_shutdownmask) << XEN_DOMINF_shutdownshift;
    if (d.is_xenstore_domain) info.flags |= XEN_DOMINF_xs_domain;
    info.cpupool = d.cpu_pool.load();
    info.tot_pages = d.total_pages.load(std::memory_order_relaxed);
    info.max_pages = d.max_pages.load(std::memory_order_relaxed);
    info.shared_info_frame = d.shared_mfn.raw;
    info.max_vcpu_id = d.max_vcpus == 0 ? XEN_INVALID_MAX_VCPU_ID : d.max_vcpus - 1;
    Guard guard(d.lock);
    std::memcpy(info.handle, d.handle, sizeof info.handle);
    return info;
}

Result<xen_domctl_getvcpuinfo> describe_vcpu(Domain& d, u32 vcpu) {
    if (vcpu >= d.max_vcpus) return fail(XEN_EINVAL);
    Vcpu* v = d.vcpus[vcpu];
    if (v == nullptr) return fail(XEN_ESRCH);
    const vcpu_runstate_info state = sched::runstate_snapshot(*v);
    xen_domctl_getvcpuinfo info{};
    info.vcpu = vcpu;
    info.online = !v->sched.down.load(std::memory_order_relaxed);
    info.blocked = v->sched.blocked.load(std::memory_order_relaxed);
    info.running = state.state == RUNSTATE_running;
    info.cpu_time = state.time[RUNSTATE_running];
    // Where it is may change at any time; any recent answer will do.
    info.cpu = __atomic_load_n(&v->sched.cpu.raw, __ATOMIC_RELAXED);
    return info;
}

Result<> list_domains(xen_sysctl_getdomaininfolist& op) {
    const GuestPtr<xen_domctl_getdomaininfo> list(op.buffer);
    u32 count = 0;
    DomId from(op.first_domain);
    while (count < op.max_domains) {
        const DomainRef d = next_domain(from);
        if (!d) break;
        TRY(list.element(count).write(describe(*d)));
        ++count;
        from = DomId(static_cast<u16>(d->id.raw + 1));
        port::preemption_point();
    }
    op.num_domains = count;
    return {};
}

}  // namespace xylem::control
