// SPDX-License-Identifier: MIT
// Frames between owners: taken away from one domain, not yet given to another.
//
// A detached frame looks as the allocator hands frames out: no references, no type, no owner. Without a reference nobody can
// get one, so it is the caller's alone.
#include "core/domain/domain.hpp"
#include "core/mem/frames.hpp"
#include "core/mem/pages.hpp"
#include "core/mem/table_types.hpp"
#include "core/port/machine.hpp"

namespace xylem {

Result<> detach_domain_page(Domain& domain, PageInfo& page) {
    // Our own reference keeps the frame the domain's while we look.
    if (!get_reference(page, domain.id)) return fail(XEN_EINVAL);
    PageState s = page.load();
    constexpr u64 in_the_way = PageState::pinned_bit | PageState::io_bit;
    do {
        Errno reason = XEN_EBUSY;
        if (!s.has(PageState::owned_bit)) reason = XEN_EINVAL;
        if (reason == XEN_EINVAL || s.references() != 2 || s.type_uses() != 0 || s.has(in_the_way)) {
            put_reference(page);
            return fail(reason);
        }
    } while (!page.swap(s, PageState{}));
    page.set_owner(domid_invalid);
    page.set_tlb_stamp(TlbStamp(port::tlb_clock()));
    domain.total_pages.fetch_sub(1, std::memory_order_relaxed);
    return {};
}

Result<> attach_domain_page(Domain& domain, PageInfo& page, bool returning) {
    if (domain.life.load(std::memory_order_acquire) != Life::alive) return fail(XEN_EINVAL);
    const u64 before = domain.total_pages.fetch_add(1, std::memory_order_relaxed);
    if (!returning && before >= domain.max_pages.load(std::memory_order_relaxed)) {
        domain.total_pages.fetch_sub(1, std::memory_order_relaxed);
        return fail(XEN_ENOMEM);
    }
    // For its former owner too: the frame forgets the type it had, and with it what was cached of it as that type.
    port::flush_stale_tlbs(page.tlb_stamp());
    give_frame_to(page, domain);
    if (is_dying(domain)) [[unlikely]]
        (void)release_domain_page(domain, page);  // it had the frame, and died
    return {};
}

void free_detached_page(PageInfo& page) {
    const Mfn mfn = mfn_of(page);
    port::set_m2p(mfn, invalid_m2p_entry);
    frames().release(mfn, 0);
}

}  // namespace xylem
