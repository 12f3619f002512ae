// SPDX-License-Identifier: MIT
#include "core/control/machine_ops.hpp"

#include <atomic>

#include "core/mem/frames.hpp"
#include "core/mem/page.hpp"
#include "core/port/cpu_info.hpp"
#include "core/port/guest.hpp"
#include "core/port/machine.hpp"
#include "core/port/preempt.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem::control {
namespace {

constexpr u32 idle_states = 2;  // C0: running, C1: halted
std::atomic<u32> deepest_state{1};
std::atomic<u32> deepest_substate{XEN_SYSCTL_CX_UNLIMITED};
std::atomic<u32> packs_threads{0};

Result<> idle_state_times(u32 cpu, pm_cx_stat& stat) {
    const Nanos idle = sched::idle_time(CpuId(cpu));
    const u64 times[idle_states] = {static_cast<u64>(port::now() - idle), static_cast<u64>(idle)};
    const GuestPtr<u64> triggers(stat.triggers);
    const GuestPtr<u64> residencies(stat.residencies);
    for (u32 i = 0; i < idle_states && i < stat.nr; ++i) {
        TRY(triggers.element(i).write(1));  // entered at least once
        TRY(residencies.element(i).write(times[i]));
    }
    stat.nr = idle_states;
    stat.last = 0;
    stat.idle_time = static_cast<u64>(idle);
    stat.nr_pc = stat.nr_cc = 0;
    return {};
}

}  // namespace

Result<> power_statistics(xen_sysctl_get_pmstat& op) {
    if (op.cpuid >= port::online_cpus()) return fail(XEN_EINVAL);
    if ((op.type & PMSTAT_CATEGORY_MASK) == PMSTAT_PX) return fail(XEN_ENODEV);
    switch (op.type) {
        case PMSTAT_get_max_cx: op.u.getcx.nr = idle_states; return {};
        case PMSTAT_get_cxstat: return idle_state_times(op.cpuid, op.u.getcx);
        case PMSTAT_reset_cxstat: return {};
        default: return fail(XEN_ENODEV);
    }
}

Result<> power_operation(xen_sysctl_pm_op& op) {
    if (op.cpuid >= port::online_cpus()) return fail(XEN_EINVAL);
    if ((op.cmd & PM_PARA_CATEGORY_MASK) == CPUFREQ_PARA) return fail(XEN_EINVAL);  // no frequencies are known of the CPU
    std::atomic<u32>& limit = op.cpuid == 0 ? deepest_state : deepest_substate;
    switch (op.cmd) {
        case XEN_SYSCTL_pm_op_set_sched_opt_smt:
            op.u.set_sched_opt_smt = packs_threads.exchange(op.u.set_sched_opt_smt != 0 ? 1 : 0);
            return {};
        case XEN_SYSCTL_pm_op_get_max_cstate:
            if (op.cpuid > 1) return fail(XEN_EINVAL);
            op.u.get_max_cstate = limit.load();
            return {};
        case XEN_SYSCTL_pm_op_set_max_cstate:
            if (op.cpuid > 1) return fail(XEN_EINVAL);
            limit.store(op.u.set_max_cstate);
            return {};
        case XEN_SYSCTL_pm_op_set_vcpu_migration_delay:
        case XEN_SYSCTL_pm_op_get_vcpu_migration_delay: return fail(XEN_EINVAL);  // of the first credit scheduler
        default: return fail(XEN_ENOSYS);
    }
}

Result<> cpu_hotplug(const xen_sysctl_cpu_hotplug& op) {
    const bool exists = op.cpu < port::online_cpus();
    switch (op.op) {
        case XEN_SYSCTL_CPU_HOTPLUG_ONLINE: return fail(exists ? XEN_EEXIST : XEN_EINVAL);
        case XEN_SYSCTL_CPU_HOTPLUG_OFFLINE: return fail(exists ? XEN_EBUSY : XEN_EINVAL);
        default: return fail(XEN_EOPNOTSUPP);
    }
}

Result<> page_status(const xen_sysctl_page_offline_op& op) {
    constexpr u32 most = 65536;
    if (op.cmd != sysctl_query_page_offline) return fail(XEN_EOPNOTSUPP);
    if (op.end < op.start) return fail(XEN_EINVAL);
    if (op.end - op.start >= most) return fail(XEN_ENOMEM);
    const GuestPtr<u32> to(op.status);
    for (u32 i = 0; i <= op.end - op.start; ++i) {
        if (find_page(Mfn(op.start + u64{i})) == nullptr) return fail(XEN_EINVAL);
        TRY(to.element(i).write(0));  // neither offline, nor on the way, nor broken
        if (i % 512 == 511 && !port::preemption_point()) return fail(XEN_EAGAIN);
    }
    return {};
}

Result<> live_patches(xen_sysctl_livepatch_op& op) {
    if (op.pad != 0) return fail(XEN_EINVAL);
    switch (op.cmd) {
        case XEN_SYSCTL_LIVEPATCH_LIST:
            if (op.u.list.pad != 0 || op.u.list.idx != 0) return fail(XEN_EINVAL);
            op.u.list.version = 1;
            op.u.list.nr = op.u.list.name_total_size = op.u.list.metadata_total_size = 0;
            return {};
        case XEN_SYSCTL_LIVEPATCH_GET:
        case XEN_SYSCTL_LIVEPATCH_ACTION: return fail(XEN_ENOENT);
        case XEN_SYSCTL_LIVEPATCH_UPLOAD: return fail(op.u.upload.name.size == 0 ? XEN_EINVAL : XEN_EOPNOTSUPP);
        default: return fail(XEN_EINVAL);
    }
}

}  // namespace xylem::control
