// SPDX-License-Identifier: MIT
#include "core/control/bitmap.hpp"
#include "core/control/control.hpp"
#include "core/control/cpu_pool.hpp"
#include "core/control/domain_info.hpp"
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
    return {v.sched.hard_affinity, v.sched.soft_affinity};
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
    {
        Guard guard(d.lock);
        if ((op.flags & hard) == 0) wanted_hard = v.sched.hard_affinity;
        if ((op.flags & soft) == 0) wanted_soft = v.sched.soft_affinity;
        TRY(sched::set_affinity(v, wanted_hard, wanted_soft));
    }
    const CpuMask usable = intersection(wanted_hard, online_mask());
    if ((op.flags & hard) != 0) TRY(write_mask(op.cpumap_hard, usable));
    if ((op.flags & soft) != 0) TRY(write_mask(op.cpumap_soft, intersection(wanted_soft, usable)));
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

Result<> perform(GuestPtr<xen_domctl> at, xen_domctl& op) {
    switch (op.cmd) {
        case XEN_DOMCTL_getdomaininfo: return domain_info(at, op);
        case XEN_DOMCTL_getvcpuinfo:
        case XEN_DOMCTL_getvcpuaffinity:
        case XEN_DOMCTL_setvcpuaffinity:
        case XEN_DOMCTL_scheduler_op: break;
        default: return fail(XEN_ENOSYS);
    }
    const DomainRef d = op.domain < domid_first_reserved.raw ? find_domain(DomId(op.domain)) : DomainRef();
    if (!d) return fail(XEN_ESRCH);
    switch (op.cmd) {
        case XEN_DOMCTL_getvcpuinfo: op.u.getvcpuinfo = TRY(describe_vcpu(*d, op.u.getvcpuinfo.vcpu)); return at.write(op);
        case XEN_DOMCTL_getvcpuaffinity: return get_affinity(*d, op.u.vcpuaffinity);
        case XEN_DOMCTL_setvcpuaffinity: return set_affinity(*d, op.u.vcpuaffinity);
        default: TRY(domain_scheduler_op(*d, op.u.scheduler_op)); return at.write(op);
    }
}

}  // namespace

long domctl(Vcpu& caller, u64 arg) {
    const GuestPtr<xen_domctl> at(arg);
    Result<xen_domctl> op = at.read();
    if (!op) return to_hypercall_result(op.error());
    if (op->interface_version != XEN_DOMCTL_INTERFACE_VERSION) return to_hypercall_result(XEN_EACCES);
    if (!caller.domain.is_control_domain) return to_hypercall_result(XEN_EPERM);
    const Result<> result = perform(at, *op);
    return result ? 0 : to_hypercall_result(result.error());
}

}  // namespace xylem::control
