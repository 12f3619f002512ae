// SPDX-License-Identifier: MIT
#include "core/control/cpu_pool.hpp"

#include <array>

#include "base/log.hpp"
#include "core/control/bitmap.hpp"
#include "core/domain/domain_list.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem::control {
namespace {

using sched::CpuMask;
constexpr u32 any = XEN_SYSCTL_CPUPOOL_PAR_ANY;
constexpr u32 max_pools = 64;
constinit u32 first_ratelimit_us = static_cast<u32>(sched::default_ratelimit / 1000);

struct Pool {
    bool exists = false;
    CpuMask cpus;
    u32 ratelimit_us = 0;
};

// A CPU is in one pool at most. Changed and read with `busy` held (ControlLock).
class Pools {
   public:
    std::atomic<bool> busy{false};

    // All CPUs are in pool 0 from the start, so it cannot be filled before they are known.
    Pool* find(u32 id) {
        if (!pools_[0].exists) {
            pools_[0] = {.exists = true, .cpus = online_mask(), .ratelimit_us = first_ratelimit_us};
        }
        return id < max_pools && pools_[id].exists ? &pools_[id] : nullptr;
    }
    Pool* slot(u32 id) { return id < max_pools ? &pools_[id] : nullptr; }
    CpuMask free_cpus() {
        CpuMask free = online_mask();
        for (const Pool& p : pools_)
            for (u32 i = 0; i < port::online_cpus(); ++i)
                if (p.exists && p.cpus.has(CpuId(i))) free.clear(CpuId(i));
        return free;
    }

   private:
    std::array<Pool, max_pools> pools_{};
};
constinit Pools pools;

u32 domains_in(u32 id) {
    u32 count = 0;
    for_each_domain([&](Domain& d) { count += d.cpu_pool.load() == id ? 1 : 0; });
    return count;
}

void set_ratelimit(Pool& p, u32 us) {
    p.ratelimit_us = us;
    sched::set_ratelimit(p.cpus, Nanos{us} * 1000);
}

// The pool's CPUs and domains follow it.
void apply(u32 id) {
    Pool& p = *pools.find(id);
    set_ratelimit(p, p.ratelimit_us);
    for_each_domain([&](Domain& d) {
        if (d.cpu_pool.load() != id) return;
        Guard guard(d.lock);
        sched::set_cpus(d, p.cpus);
    });
}

Result<> pool_info(xen_sysctl_cpupool_op& op) {
    // The answer is for the first pool with at least that number.
    u32 id = op.cpupool_id;
    while (id < max_pools && pools.find(id) == nullptr) ++id;
    if (id >= max_pools) return fail(XEN_ENOENT);
    op.cpupool_id = id;
    op.sched_id = scheduler_id;
    op.n_dom = domains_in(id);
    return write_mask(op.cpumap, pools.find(id)->cpus);
}

Result<> create_pool(xen_sysctl_cpupool_op& op) {
    u32 id = op.cpupool_id;
    if (op.sched_id != scheduler_id) {
        log::info("cpupool: this hypervisor has one scheduler, with credit2's parameters (number {})", scheduler_id);
        return fail(XEN_ENOENT);
    }
    if (id == any)
        for (id = 1; id < max_pools && pools.find(id) != nullptr;) ++id;
    if (id >= max_pools) return fail(XEN_ENOSPC);
    if (pools.find(id) != nullptr) return fail(XEN_EEXIST);
    *pools.slot(id) = {.exists = true, .cpus = {}, .ratelimit_us = first_ratelimit_us};
    op.cpupool_id = id;
    return {};
}

Result<> destroy_pool(u32 id) {
    Pool* p = pools.find(id);
    if (p == nullptr) return fail(XEN_ENOENT);
    if (id == 0 || domains_in(id) != 0 || !p->cpus.empty()) return fail(XEN_EBUSY);
    *p = {};
    return {};
}

u32 first_of(const CpuMask& cpus) {
    u32 cpu = 0;
    while (cpu < CpuMask::capacity && !cpus.has(CpuId(cpu))) ++cpu;
    return cpu;
}

u32 last_of(const CpuMask& cpus) {
    u32 cpu = CpuMask::capacity;
    while (cpu > 0 && !cpus.has(CpuId(cpu - 1))) --cpu;
    return cpu == 0 ? CpuMask::capacity : cpu - 1;
}

Result<> add_cpu(const xen_sysctl_cpupool_op& op) {
    const CpuMask free = pools.free_cpus();
    const u32 cpu = op.cpu == any ? first_of(free) : op.cpu;
    if (cpu >= port::online_cpus()) return fail(XEN_EINVAL);
    if (!free.has(CpuId(cpu))) return fail(XEN_ENODEV);
    Pool* p = pools.find(op.cpupool_id);
    if (p == nullptr) return fail(XEN_ENOENT);
    p->cpus.set(CpuId(cpu));
    apply(op.cpupool_id);
    return {};
}

// A pool keeps its last CPU for as long as it has domains.
Result<> remove_cpu(const xen_sysctl_cpupool_op& op) {
    Pool* p = pools.find(op.cpupool_id);
    if (p == nullptr) return fail(XEN_ENOENT);
    const u32 cpu = op.cpu == any ? last_of(p->cpus) : op.cpu;
    if (cpu >= port::online_cpus() || !p->cpus.has(CpuId(cpu))) return fail(XEN_EINVAL);
    CpuMask left = p->cpus;
    left.clear(CpuId(cpu));
    if (left.empty() && domains_in(op.cpupool_id) != 0) return fail(op.cpupool_id == 0 ? XEN_EINVAL : XEN_EBUSY);
    p->cpus = left;
    if (!left.empty()) apply(op.cpupool_id);
    return {};
}

Result<> move_domain(const xen_sysctl_cpupool_op& op) {
    if (op.domid == 0 || op.domid >= domid_first_reserved.raw) return fail(XEN_EINVAL);
    const DomainRef d = find_domain(DomId(static_cast<u16>(op.domid)));
    if (!d) return fail(XEN_ESRCH);
    const Pool* p = pools.find(op.cpupool_id);
    if (p == nullptr) return fail(XEN_ENOENT);
    if (p->cpus.empty()) return fail(XEN_EBUSY);
    d->cpu_pool.store(op.cpupool_id);
    Guard guard(d->lock);
    sched::set_cpus(*d, p->cpus);
    return {};
}

}  // namespace

bool pool_can_run(u32 id) {
    const ControlLock lock(pools.busy);
    const Pool* p = pools.find(id);
    return p != nullptr && !p->cpus.empty();
}

Result<> put_into_pool(Domain& d, u32 id) {
    if (id == 0) return {};
    xen_sysctl_cpupool_op op{};
    op.domid = d.id.raw;
    op.cpupool_id = id;
    const ControlLock lock(pools.busy);
    return move_domain(op);
}

Result<> cpupool_op(xen_sysctl_cpupool_op& op) {
    const ControlLock lock(pools.busy);
    switch (op.op) {
        case XEN_SYSCTL_CPUPOOL_OP_INFO: return pool_info(op);
        case XEN_SYSCTL_CPUPOOL_OP_FREEINFO: return write_mask(op.cpumap, pools.free_cpus());
        case XEN_SYSCTL_CPUPOOL_OP_CREATE: return create_pool(op);
        case XEN_SYSCTL_CPUPOOL_OP_DESTROY: return destroy_pool(op.cpupool_id);
        case XEN_SYSCTL_CPUPOOL_OP_ADDCPU: return add_cpu(op);
        case XEN_SYSCTL_CPUPOOL_OP_RMCPU: return remove_cpu(op);
        case XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN: return move_domain(op);
        default: return fail(XEN_ENOSYS);
    }
}

void set_first_ratelimit(u32 us) {
    first_ratelimit_us = us;
    const ControlLock lock(pools.busy);
    set_ratelimit(*pools.find(0), us);
}

Result<> scheduler_op(xen_sysctl_scheduler_op& op) {
    if (op.cmd != XEN_SYSCTL_SCHEDOP_getinfo && op.cmd != XEN_SYSCTL_SCHEDOP_putinfo) return fail(XEN_EINVAL);
    const ControlLock lock(pools.busy);
    Pool* p = pools.find(op.cpupool_id);
    if (p == nullptr) return fail(XEN_ESRCH);
    if (op.sched_id != scheduler_id) return fail(XEN_EINVAL);
    if (op.cmd == XEN_SYSCTL_SCHEDOP_getinfo) {
        op.u.sched_credit2.ratelimit_us = p->ratelimit_us;
        return {};
    }
    const u32 wanted = op.u.sched_credit2.ratelimit_us;
    if (wanted != 0 && (wanted < XEN_SYSCTL_SCHED_RATELIMIT_MIN || wanted > XEN_SYSCTL_SCHED_RATELIMIT_MAX))
        return fail(XEN_EINVAL);
    set_ratelimit(*p, wanted);
    return {};
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
