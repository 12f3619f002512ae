// SPDX-License-Identifier: MIT
#include <algorithm>

#include "core/control/bitmap.hpp"
#include "core/control/control.hpp"
#include "core/control/cpu_policy.hpp"
#include "core/control/cpu_pool.hpp"
#include "core/control/domain_info.hpp"
#include "core/control/life.hpp"
#include "core/control/memory_ops.hpp"
#include "core/control/rights.hpp"
#include "core/control/vcpu_ops.hpp"
#include "core/domain/destroy.hpp"
#include "core/domain/domain_list.hpp"
#include "core/port/guest.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem::control {
namespace {

using sched::CpuMask;
constexpr u32 hard = XEN_VCPUAFFINITY_HARD;
constexpr u32 soft = XEN_VCPUAFFINITY_SOFT;

struct Affinity {
    CpuMask hard;
    CpuMask soft;
};

// Affinities change and are read with the domain's lock held.
Affinity affinity_of(Vcpu& v) {
    Guard guard(v.domain.lock);
    return {v.sched.wanted_affinity, v.sched.soft_affinity};
}

Result<Vcpu*> vcpu_for_affinity(Domain& d, const xen_domctl_vcpuaffinity& op) {
    if (op.vcpu >= d.max_vcpus) return fail(XEN_EINVAL);
    if (d.vcpus[op.vcpu] == nullptr) return fail(XEN_ESRCH);
    if ((op.flags & (hard | soft)) == 0 || (op.flags & ~(hard | soft | u32{XEN_VCPUAFFINITY_FORCE})) != 0)
        return fail(XEN_EINVAL);
    return d.vcpus[op.vcpu];
}

Result<> get_affinity(Domain& d, const xen_domctl_vcpuaffinity& op) {
    const Affinity now = affinity_of(*TRY(vcpu_for_affinity(d, op)));
    if ((op.flags & hard) != 0) TRY(write_mask(op.cpumap_hard, now.hard));
    if ((op.flags & soft) != 0) TRY(write_mask(op.cpumap_soft, now.soft));
    return {};
}

// Answers with what is in effect. There are no temporary pins, so XEN_VCPUAFFINITY_FORCE has nothing to undo.
Result<> set_affinity(Domain& d, const xen_domctl_vcpuaffinity& op) {
    Vcpu& v = *TRY(vcpu_for_affinity(d, op));
    CpuMask wanted_hard;
    CpuMask wanted_soft;
    if ((op.flags & hard) != 0) wanted_hard = TRY(read_mask(op.cpumap_hard));
    if ((op.flags & soft) != 0) wanted_soft = TRY(read_mask(op.cpumap_soft));
    CpuMask usable = online_mask();
    {
        Guard guard(d.lock);
        if ((op.flags & hard) == 0) wanted_hard = v.sched.wanted_affinity;
        if ((op.flags & soft) == 0) wanted_soft = v.sched.soft_affinity;
        TRY(sched::set_affinity(v, wanted_hard, wanted_soft));
        usable = usable & v.sched.hard_affinity;
    }
    if ((op.flags & hard) != 0) TRY(write_mask(op.cpumap_hard, usable));
    if ((op.flags & soft) != 0) TRY(write_mask(op.cpumap_soft, wanted_soft & usable));
    return {};
}

Result<> domain_info(GuestPtr<xen_domctl> at, xen_domctl& op) {
    // A number that is not taken stands for the next one that is: callers compare.
    const DomainRef d = next_domain(DomId(op.domain));
    if (!d) return fail(XEN_ESRCH);
    op.u.getdomaininfo = describe(*d);
    op.domain = op.u.getdomaininfo.domain;
    return at.write(op);
}

Result<> create_domain_op(GuestPtr<xen_domctl> at, xen_domctl& op) {
    op.domain = TRY(create(op.domain, op.u.createdomain)).raw;
    return at.write(op);
}

Result<> destroy(Vcpu& caller, Domain& d) {
    if (&d == &caller.domain || d.is_hardware_domain) return fail(XEN_EINVAL);
    const ControlLock lock(d);
    destroy_domain(d);
    return {};
}

// Registers of vCPUs, and what their domain lets them hold.
template <class F>
Result<> alone(Domain& d, F&& f) {
    const ControlLock lock(d);
    return f();
}

// What an operation that there is not answers: what real Xen answers for a PV guest, where tools tell one from another.
Errno errno_without(u32 operation) {
    switch (operation) {
        case XEN_DOMCTL_gethvmcontext:  // HVM guests'
        case XEN_DOMCTL_sethvmcontext:
        case XEN_DOMCTL_gethvmcontext_partial:
        case XEN_DOMCTL_bind_pt_irq:
        case XEN_DOMCTL_unbind_pt_irq:
        case XEN_DOMCTL_set_broken_page_p2m:
        case XEN_DOMCTL_soft_reset:
        case XEN_DOMCTL_debug_op:
        case XEN_DOMCTL_vmtrace_op: return XEN_EINVAL;
        case XEN_DOMCTL_assign_device:  // without an IOMMU a device reaches all memory; Xen refuses that for PV guests, too
        case XEN_DOMCTL_deassign_device:
        case XEN_DOMCTL_test_assign_device:
        case XEN_DOMCTL_get_device_group:
        case XEN_DOMCTL_ioport_mapping:
        case XEN_DOMCTL_monitor_op:
        case XEN_DOMCTL_get_paging_mempool_size:
        case XEN_DOMCTL_set_paging_mempool_size:
        case XEN_DOMCTL_setdebugging: return XEN_EOPNOTSUPP;  // the last: a debugger in dom0 would have to be told of breakpoints
        default: return XEN_ENOSYS;
    }
}

Result<> change_domain(Vcpu& caller, Domain& d, xen_domctl& op, bool& answers) {
    auto& u = op.u;
    if (d.life.load() != Life::alive) return fail(XEN_EINVAL);
    const bool is_own = &d == &caller.domain;
    switch (op.cmd) {
        case XEN_DOMCTL_pausedomain: return is_own ? fail(XEN_EINVAL) : pause(d);
        case XEN_DOMCTL_unpausedomain: return unpause(d);
        case XEN_DOMCTL_resumedomain: return is_own ? fail(XEN_EINVAL) : resume(d);
        case XEN_DOMCTL_max_vcpus: return is_own ? fail(XEN_EINVAL) : set_max_vcpus(d, u.max_vcpus.max);
        case XEN_DOMCTL_max_mem: return set_max_memory(d, u.max_mem.max_memkb);
        case XEN_DOMCTL_setvcpuaffinity: return set_affinity(d, u.vcpuaffinity);
        case XEN_DOMCTL_setnodeaffinity: return set_node_affinity(d, u.nodeaffinity);
        case XEN_DOMCTL_scheduler_op: answers = true; return domain_scheduler_op(d, u.scheduler_op);
        case XEN_DOMCTL_setdomainhandle: {
            Guard guard(d.lock);
            std::copy_n(u.setdomainhandle.handle, sizeof d.handle, d.handle);
            return {};
        }
        case XEN_DOMCTL_set_cpu_policy: answers = true; return alone(d, [&] { return set_cpu_policy(d, u.cpu_policy); });
        case XEN_DOMCTL_settscinfo: return is_own ? fail(XEN_EINVAL) : set_tsc_info(d, u.tsc_info);
        case XEN_DOMCTL_set_vcpu_msrs: answers = true; return alone(d, [&] { return set_vcpu_msrs(d, u.vcpu_msrs); });
        case XEN_DOMCTL_hypercall_init: return fill_hypercall_page(d, u.hypercall_init);
        case XEN_DOMCTL_settimeoffset: return set_time_offset(d, u.settimeoffset);
        case XEN_DOMCTL_sendtrigger: return send_trigger(d, u.sendtrigger);
        case XEN_DOMCTL_subscribe: d.suspend_port.store(u.subscribe.port); return {};
        case XEN_DOMCTL_ioport_permission: return set_port_permission(caller.domain, d, u.ioport_permission);
        case XEN_DOMCTL_iomem_permission: return set_frame_permission(caller.domain, d, u.iomem_permission);
        case XEN_DOMCTL_irq_permission: return set_irq_permission(caller.domain, d, u.irq_permission);
        case XEN_DOMCTL_memory_mapping: return check_frame_mapping(caller.domain, d, u.memory_mapping);
        // Only 64-bit guests so far: their width is what every domain has.
        case XEN_DOMCTL_set_address_size: return u.address_size.size == 64 ? Result<>() : fail(XEN_EINVAL);
        // Live migration tells "cannot" from "wrong" (docs/guests.md).
        case XEN_DOMCTL_shadow_op:
            return fail(u.shadow_op.op == XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY ? XEN_EOPNOTSUPP : XEN_EINVAL);
        // An HVM guest's device model in a domain of its own.
        case XEN_DOMCTL_set_target: return fail(find_domain(DomId(u.set_target.target)) ? XEN_EOPNOTSUPP : XEN_ESRCH);
        case XEN_DOMCTL_psr_cmt_op: return fail(XEN_ENODEV);
        case XEN_DOMCTL_psr_alloc: return fail(u.psr_alloc.cmd <= XEN_DOMCTL_PSR_GET_MBA_THRTL ? XEN_ENODEV : XEN_EOPNOTSUPP);
        default: return fail(errno_without(op.cmd));
    }
}

// What reads may also be asked of a domain that is being destroyed.
Result<> access_domain(Vcpu& caller, Domain& d, xen_domctl& op, bool& answers) {
    auto& u = op.u;
    switch (op.cmd) {
        case XEN_DOMCTL_destroydomain: return destroy(caller, d);
        case XEN_DOMCTL_getvcpuinfo:
            u.getvcpuinfo = TRY(describe_vcpu(d, u.getvcpuinfo.vcpu));
            answers = true;
            return {};
        case XEN_DOMCTL_getvcpuaffinity: return get_affinity(d, u.vcpuaffinity);
        case XEN_DOMCTL_getnodeaffinity: return get_node_affinity(d, u.nodeaffinity);
        case XEN_DOMCTL_getpageframeinfo3: return page_types(d, u.getpageframeinfo3);
        case XEN_DOMCTL_get_cpu_policy: answers = true; return get_cpu_policy(d, u.cpu_policy);
        case XEN_DOMCTL_gettscinfo: answers = true; return get_tsc_info(d, u.tsc_info);
        case XEN_DOMCTL_get_vcpu_msrs: answers = true; return get_vcpu_msrs(d, u.vcpu_msrs);
        case XEN_DOMCTL_get_address_size:
            u.address_size.size = 64;
            answers = true;
            return {};
        case XEN_DOMCTL_setvcpucontext: return alone(d, [&] { return set_vcpu_context(d, u.vcpucontext); });
        case XEN_DOMCTL_getvcpucontext: return alone(d, [&] { return get_vcpu_context(d, u.vcpucontext); });
        case XEN_DOMCTL_set_ext_vcpucontext: return alone(d, [&] { return set_vcpu_callbacks(d, u.ext_vcpucontext); });
        case XEN_DOMCTL_get_ext_vcpucontext:
            answers = true;
            return alone(d, [&] { return get_vcpu_callbacks(d, u.ext_vcpucontext); });
        case XEN_DOMCTL_getvcpuextstate: answers = true; return alone(d, [&] { return get_extended_state(d, u.vcpuextstate); });
        case XEN_DOMCTL_setvcpuextstate: return alone(d, [&] { return set_extended_state(d, u.vcpuextstate); });
        default: return change_domain(caller, d, op, answers);
    }
}

Result<> perform(Vcpu& caller, GuestPtr<xen_domctl> at, xen_domctl& op) {
    switch (op.cmd) {
        case XEN_DOMCTL_createdomain: return create_domain_op(at, op);
        case XEN_DOMCTL_getdomaininfo: return domain_info(at, op);
        default: break;
    }
    const DomainRef d = op.domain < domid_first_reserved.raw ? find_domain(DomId(op.domain)) : DomainRef();
    if (!d) return fail(XEN_ESRCH);
    bool answers = false;
    const Result<> result = access_domain(caller, *d, op, answers);
    if (answers) TRY(at.write(op));
    return result;
}

}  // namespace

long domctl(Vcpu& caller, u64 arg) {
    const GuestPtr<xen_domctl> at(arg);
    Result<xen_domctl> op = at.read();
    if (!op) return to_hypercall_result(op.error());
    if (!caller.domain.is_control_domain) return to_hypercall_result(XEN_EPERM);
    if (op->interface_version != XEN_DOMCTL_INTERFACE_VERSION)
        return to_hypercall_result(wrong_version("domctl", op->interface_version, XEN_DOMCTL_INTERFACE_VERSION));
    const Result<> result = perform(caller, at, *op);
    return result ? 0 : to_hypercall_result(result.error());
}

}  // namespace xylem::control
