// SPDX-License-Identifier: MIT
#include "base/log.hpp"
#include "core/control/console_ops.hpp"
#include "core/control/control.hpp"
#include "core/control/cpu_policy.hpp"
#include "core/control/cpu_pool.hpp"
#include "core/control/domain_info.hpp"
#include "core/control/machine_info.hpp"
#include "core/control/machine_ops.hpp"
#include "core/port/guest.hpp"

namespace xylem::control {
namespace {

// Writes one operation's structure back, also where it failed after filling in what the caller needs to know.
template <class Op>
Result<> answer(GuestPtr<xen_sysctl> at, const xen_sysctl& whole, const Op& op, Result<> result) {
    if (!result && result.error() != XEN_ENOBUFS) return result;
    const u64 offset = static_cast<u64>(reinterpret_cast<const u8*>(&op) - reinterpret_cast<const u8*>(&whole));
    TRY(GuestPtr<Op>(at.address() + offset).write(op));
    return result;
}

Result<> perform(GuestPtr<xen_sysctl> at, xen_sysctl& s) {
    auto& u = s.u;
    switch (s.cmd) {
        case XEN_SYSCTL_readconsole: return answer(at, s, u.readconsole, read_console(u.readconsole));
        case XEN_SYSCTL_physinfo: return answer(at, s, u.physinfo, physical_info(u.physinfo));
        case XEN_SYSCTL_sched_id: u.sched_id.sched_id = scheduler_id; return answer(at, s, u.sched_id, {});
        case XEN_SYSCTL_getdomaininfolist: return answer(at, s, u.getdomaininfolist, list_domains(u.getdomaininfolist));
        case XEN_SYSCTL_debug_keys: return press_debug_keys(u.debug_keys);
        case XEN_SYSCTL_getcpuinfo: return answer(at, s, u.getcpuinfo, cpu_idle_times(u.getcpuinfo));
        case XEN_SYSCTL_availheap: return answer(at, s, u.availheap, available_memory(u.availheap));
        case XEN_SYSCTL_cputopoinfo: return answer(at, s, u.cputopoinfo, cpu_topology(u.cputopoinfo));
        case XEN_SYSCTL_numainfo: return answer(at, s, u.numainfo, numa_info(u.numainfo));
        case XEN_SYSCTL_pcitopoinfo: return answer(at, s, u.pcitopoinfo, pci_topology(u.pcitopoinfo));
        case XEN_SYSCTL_cpupool_op: return answer(at, s, u.cpupool_op, cpupool_op(u.cpupool_op));
        case XEN_SYSCTL_scheduler_op: return answer(at, s, u.scheduler_op, scheduler_op(u.scheduler_op));
        case XEN_SYSCTL_get_cpu_featureset: return answer(at, s, u.cpu_featureset, cpu_featureset(u.cpu_featureset));
        case XEN_SYSCTL_get_cpu_policy: return answer(at, s, u.cpu_policy, system_cpu_policy(u.cpu_policy));
        case XEN_SYSCTL_get_cpu_levelling_caps:
            u.cpu_levelling_caps.caps = 0;  // CPUID is answered per guest, not by masking the hardware
            return answer(at, s, u.cpu_levelling_caps, {});
        case XEN_SYSCTL_get_pmstat: return answer(at, s, u.get_pmstat, power_statistics(u.get_pmstat));
        case XEN_SYSCTL_pm_op: return answer(at, s, u.pm_op, power_operation(u.pm_op));
        case XEN_SYSCTL_cpu_hotplug: return cpu_hotplug(u.cpu_hotplug);
        case XEN_SYSCTL_page_offline_op: return page_status(u.page_offline);
        case XEN_SYSCTL_livepatch_op: return answer(at, s, u.livepatch, live_patches(u.livepatch));
        case XEN_SYSCTL_coverage_op: return fail(XEN_EOPNOTSUPP);
        case XEN_SYSCTL_psr_cmt_op: return fail(XEN_ENODEV);  // caches are not monitored
        case XEN_SYSCTL_psr_alloc: return fail(u.psr_alloc.cmd <= XEN_SYSCTL_PSR_get_mba_info ? XEN_ENODEV : XEN_EOPNOTSUPP);
        default: return fail(XEN_ENOSYS);
    }
}

}  // namespace

Errno wrong_version(const char* call, u32 theirs, u32 ours) {
    log::warning("{} of version {:#x} refused, this hypervisor speaks {:#x}: the tools are of another Xen release (4.17 fits)",
                 call, theirs, ours);
    return XEN_EACCES;
}

long sysctl(Vcpu& caller, u64 arg) {
    const GuestPtr<xen_sysctl> at(arg);
    Result<xen_sysctl> op = at.read();
    if (!op) return to_hypercall_result(op.error());
    if (!caller.domain.is_control_domain) return to_hypercall_result(XEN_EPERM);
    if (op->interface_version != XEN_SYSCTL_INTERFACE_VERSION)
        return to_hypercall_result(wrong_version("sysctl", op->interface_version, XEN_SYSCTL_INTERFACE_VERSION));
    const Result<> result = perform(at, *op);
    return result ? 0 : to_hypercall_result(result.error());
}

}  // namespace xylem::control
