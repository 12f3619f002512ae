// SPDX-License-Identifier: MIT
// The end of a domain, in an order in which nothing is used after it went: vCPUs, what others may call it by (ports,
// interrupts, grants), what its vCPUs hold, its memory.
#include "core/domain/destroy.hpp"

#include "base/log.hpp"
#include "core/evtchn/events.hpp"
#include "core/grant/table.hpp"
#include "core/irq/pirq.hpp"
#include "core/mem/table_types.hpp"
#include "core/port/preempt.hpp"
#include "core/port/vcpu_state.hpp"
#include "core/sched/hypercalls.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem {
namespace {

// Another CPU has dropped the last reference, and takes the frame off our account in a few instructions.
void wait_until_off_account(const Domain& d, const PageInfo& page) {
    constexpr u64 looked_at = PageState::counted_bit | PageState::free_bit;
    for (;;) {
        const PageState s = page.load();
        if (s.references() != 0 || (s.raw & looked_at) != PageState::counted_bit || page.owner() != d.id) return;
        cpu::relax();
    }
}

// There is no list of a domain's frames: the frame table is walked instead, 16 bytes for each frame of the machine.
void release_memory(Domain& d) {
    constexpr u64 stride = 1024;
    const u64 count = layout::frame_count();
    for (u64 start = 0; start < count; start += stride) {
        for (u64 i = start; i < std::min(start + stride, count); ++i) {
            PageInfo& page = *find_page(Mfn(i));
            const PageState s = page.load();
            if (s.has(PageState::free_bit) || s.is_device() || page.owner() != d.id) continue;
            if (!get_reference(page, d.id)) {
                wait_until_off_account(d, page);
                continue;
            }
            (void)drop_pin(page);
            if (page.load().has(PageState::counted_bit)) orphan_domain_page(d, page);
            put_reference(page);
        }
        port::preemption_point();
    }
}

}  // namespace

void destroy_domain(Domain& d) {
    {
        Guard guard(d.lock);
        if (d.life.load() != Life::alive) return;
        d.life.store(Life::dying);
    }
    for_each_vcpu(d, sched::end);
    for_each_vcpu(d, sched::wait_until_ended);
    evtchn::close_all(d);
    irq::unmap_all(d);
    grant::release_all_mappings(d);
    cancel_domain_timers(d);
    for_each_vcpu(d, [](Vcpu& v) {
        sched::remove(v);
        port::release_vcpu_memory(v);
        v.info = &v.domain.dummy_vcpu_info;
        v.info_page = {};
    });
    release_memory(d);
    if (const u64 left = d.total_pages.load(); left != 0) log::error("d{}: {} pages were not found when it died", d.id, left);
    d.life.store(Life::dead);
    send_global_virq(VIRQ_DOM_EXC);
    // The reference of its existence.
    DomainRef::adopt(&d);
}

}  // namespace xylem
