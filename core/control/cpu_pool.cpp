// SPDX-License-Identifier: MIT
#include "core/control/cpu_pool.hpp"

#include "core/control/bitmap.hpp"
#include "core/domain/domain_list.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem::control {
namespace {

constexpr u32 any = XEN_SYSCTL_CPUPOOL_PAR_ANY;

Result<> pool_info(xen_sysctl_cpupool_op& op) {
    // The answer is for the first pool with at least that number.
    if (op.cpupool_id != 0) return fail(XEN_ENOENT);
    op.sched_id = scheduler_id;
    op.n_dom = 0;
    for_each_domain([&op](Domain&) { ++op.n_dom; });
    return write_mask(op.cpumap, online_mask());
}

Result<> create_pool(const xen_sysctl_cpupool_op& op) {
    if (op.cpupool_id == 0) return fail(XEN_EEXIST);
    if (op.sched_id != scheduler_id) return fail(XEN_ENOENT);
    return fail(XEN_EOPNOTSUPP);
}

Result<> add_cpu(const xen_sysctl_cpupool_op& op) {
    if (op.cpu != any && op.cpu >= port::online_cpus()) return fail(XEN_EINVAL);
    return fail(XEN_ENODEV);  // no CPU is free
}

Result<> remove_cpu(const xen_sysctl_cpupool_op& op) {
    if (op.cpu != any && op.cpu >= port::online_cpus()) return fail(XEN_EINVAL);
    if (port::online_cpus() == 1) return fail(XEN_EBUSY);  // the last one, and domains run on it
    return fail(XEN_EOPNOTSUPP);
}

Result<> move_domain(const xen_sysctl_cpupool_op& op) {
    if (op.domid == 0 || op.domid >= domid_first_reserved.raw) return fail(XEN_EINVAL);
    if (!find_domain(DomId(static_cast<u16>(op.domid)))) return fail(XEN_ESRCH);
    return {};  // it is there already
}

}  // namespace

Result<> cpupool_op(xen_sysctl_cpupool_op& op) {
    switch (op.op) {
        case XEN_SYSCTL_CPUPOOL_OP_INFO: return pool_info(op);
        case XEN_SYSCTL_CPUPOOL_OP_FREEINFO: return write_mask(op.cpumap, {});
        case XEN_SYSCTL_CPUPOOL_OP_CREATE: return create_pool(op);
        case XEN_SYSCTL_CPUPOOL_OP_DESTROY:
        case XEN_SYSCTL_CPUPOOL_OP_ADDCPU:
        case XEN_SYSCTL_CPUPOOL_OP_RMCPU:
        case XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN: break;
        default: return fail(XEN_ENOSYS);
    }
    if (op.cpupool_id != 0) return fail(XEN_ENOENT);
    switch (op.op) {
        case XEN_SYSCTL_CPUPOOL_OP_ADDCPU: return add_cpu(op);
        case XEN_SYSCTL_CPUPOOL_OP_RMCPU: return remove_cpu(op);
        case XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN: return move_domain(op);
        default: return fail(XEN_EBUSY);  // destroying the pool that dom0 is in
    }
}

Result<> scheduler_op(xen_sysctl_scheduler_op& op) {
    if (op.cpupool_id != 0) return fail(XEN_ESRCH);
    if (op.sched_id != scheduler_id) return fail(XEN_EINVAL);
    constexpr u32 ratelimit_us = static_cast<u32>(sched::ratelimit / 1000);
    switch (op.cmd) {
        case XEN_SYSCTL_SCHEDOP_getinfo: op.u.sched_credit2.ratelimit_us = ratelimit_us; return {};
        case XEN_SYSCTL_SCHEDOP_putinfo: {
            const u32 wanted = op.u.sched_credit2.ratelimit_us;
            if (wanted == ratelimit_us) return {};
            if (wanted != 0 && (wanted < XEN_SYSCTL_SCHED_RATELIMIT_MIN || wanted > XEN_SYSCTL_SCHED_RATELIMIT_MAX))
                return fail(XEN_EINVAL);
            return fail(XEN_EOPNOTSUPP);
        }
        default: return fail(XEN_EINVAL);
    }
}

Result<> domain_scheduler_op(Domain& d, xen_domctl_scheduler_op& op) {
    if (op.sched_id != scheduler_id) return fail(XEN_EINVAL);
    Guard guard(d.lock);
    const sched::Params now = sched::get_params(d);
    switch (op.cmd) {
        case XEN_DOMCTL_SCHEDOP_getinfo:
            op.u.credit2.weight = static_cast<u16>(now.weight);
            op.u.credit2.cap = static_cast<u16>(now.cap);
            return {};
        case XEN_DOMCTL_SCHEDOP_putinfo:  // a weight of 0 means: leave it
            return sched::set_params(d, op.u.credit2.weight != 0 ? op.u.credit2.weight : now.weight, op.u.credit2.cap);
        default: return fail(XEN_EINVAL);  // vCPUs have no parameters of their own
    }
}

}  // namespace xylem::control
