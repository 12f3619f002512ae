// SPDX-License-Identifier: MIT
#include "core/domain/domain.hpp"

#include "base/log.hpp"
#include "core/domain/domain_list.hpp"
#include "core/evtchn/events.hpp"
#include "core/port/machine.hpp"
#include "core/sched/hypercalls.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem {
namespace {

// Sorted by number; few, so a plain array of what exists is the fastest list there is.
class DomainList {
   public:
    static constexpr usize capacity = 1024;

    Result<> add(Domain& d) {
        IrqGuard g(lock_);
        usize at = 0;
        while (at < count_ && items_[at]->id < d.id) ++at;
        if (at < count_ && items_[at]->id == d.id) return fail(XEN_EEXIST);
        if (count_ == capacity) return fail(XEN_ENOSPC);
        for (usize i = count_++; i > at; --i) items_[i] = items_[i - 1];
        items_[at] = &d;
        return {};
    }
    DomainRef at_least(DomId id, bool exactly) {
        IrqGuard g(lock_);
        usize low = 0;
        usize high = count_;
        while (low < high) {
            const usize middle = (low + high) / 2;
            items_[middle]->id < id ? low = middle + 1 : high = middle;
        }
        if (exactly && (low == count_ || items_[low]->id != id)) return {};
        for (; low < count_; ++low) {
            if (DomainRef d = share_living(*items_[low])) return d;
            if (exactly) break;
        }
        return {};
    }
    void remove(Domain& d) {
        IrqGuard g(lock_);
        usize at = 0;
        while (at < count_ && items_[at] != &d) ++at;
        if (at == count_) return;
        --count_;
        for (; at < count_; ++at) items_[at] = items_[at + 1];
    }

   private:
    // One whose last reference is gone stays on the list for a moment, and is nobody's any more.
    static DomainRef share_living(Domain& d) {
        u32 count = d.references.load(std::memory_order_relaxed);
        while (count != 0)
            if (d.references.compare_exchange_weak(count, count + 1, std::memory_order_acquire)) return DomainRef::adopt(&d);
        return {};
    }

    Spinlock lock_;
    std::array<Domain*, capacity> items_ XYLEM_GUARDED_BY(lock_){};
    usize count_ XYLEM_GUARDED_BY(lock_) = 0;
};

constinit DomainList domains;

}  // namespace

Result<> add_domain(Domain& d) {
    return domains.add(d);
}
DomainRef next_domain(DomId from) {
    return domains.at_least(from, false);
}
void remove_domain(Domain& d) {
    domains.remove(d);
}

void DomainRef::release() {
    if (d_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) free_domain(*d_);
}

DomainRef find_domain(DomId id) {
    Domain& mine = port::current().domain;
    if (id == domid_self || id == mine.id) return DomainRef::share(mine);
    return domains.at_least(id, true);
}

Result<DomainRef> find_domain_for(Domain& caller, DomId id) {
    if (id == domid_self || id == caller.id) return DomainRef::share(caller);
    DomainRef d = domains.at_least(id, true);
    if (!d) return fail(XEN_ESRCH);
    if (!caller.is_control_domain) return fail(XEN_EPERM);
    return d;
}

ControlLock::ControlLock(std::atomic<bool>& held) : held_(held) {
    while (held.exchange(true, std::memory_order_acquire)) sched::make_way();
}

// All global VIRQs are dom0's.
void send_global_virq(u32 virq) {
    if (const DomainRef d = domains.at_least(DomId(0), true)) evtchn::notify_global_virq(*d, virq);
}

void crash_domain(Domain& d, const char* why) {
    if (d.shutting_down.load()) return;
    log::error("d{} crashed: {}", d.id, why);
    port::dump_guest_state(port::current());
    shutdown_domain(d, SHUTDOWN_crash);
}

}  // namespace xylem
