// SPDX-License-Identifier: MIT
#include "core/mem/pages.hpp"

#include <algorithm>

#include "core/domain/domain.hpp"
#include "core/mem/frames.hpp"
#include "core/mem/table_types.hpp"
#include "core/port/machine.hpp"
#include "core/port/preempt.hpp"

namespace xylem {
namespace {

// The last reference is gone: off the owner's account, back to the allocator. Who destroys the owner waits for the bit to go.
void free_page(PageInfo& page) {
    const Mfn mfn = mfn_of(page);
    if (page.load().has(PageState::counted_bit)) {
        if (const DomainRef owner = find_domain(page.owner())) owner->total_pages.fetch_sub(1, std::memory_order_relaxed);
        page.fetch_and(~PageState::counted_bit);
    }
    port::set_m2p(mfn, invalid_m2p_entry);
    frames().release(mfn, 0);
}

void clear_frame(Mfn mfn) {
    std::fill_n(static_cast<u64*>(port::frame_address(mfn)), page_size / sizeof(u64), u64{0});
}

}  // namespace

bool get_reference(PageInfo& page, DomId owner) {
    PageState s = page.load();
    do {
        if (s.references() == 0 || s.references() >= PageState::max_count || s.has(PageState::io_bit)) return false;
    } while (!page.swap(s, s.plus(PageState::one_reference)));
    if (page.owner() == owner) return true;
    put_reference(page);
    return false;
}

void put_reference(PageInfo& page) {
    const PageState before = page.fetch_sub(PageState::one_reference);
    if (before.references() == 1) free_page(page);
}

namespace {
// One step after the other: the frame is not of the type yet, or not to be had.
[[gnu::noinline]] Result<> get_reference_and_use(PageInfo& page, DomId owner, PageType type) {
    if (!get_reference(page, owner)) return fail(XEN_EINVAL);
    Result<> use = get_type_use(page, type);
    if (!use) put_reference(page);
    return use;
}
}  // namespace

Result<> get_typed(PageInfo* page, DomId owner, PageType type) {
    if (page == nullptr) return fail(XEN_EINVAL);
    const auto is_wanted = [type](PageState s) { return s.is_checked(type); };
    if (get_ready_use(*page, owner, is_wanted) != PageType::none) return {};
    return get_reference_and_use(*page, owner, type);
}

void put_typed(PageInfo& page) {
    PageState s = page.load();
    while (s.type_uses() > 1 && s.references() > 1)
        if (page.swap(s, s.minus(PageState::one_type_use + PageState::one_reference))) return;
    put_type_use(page);
    put_reference(page);
}

namespace {

enum class Claim : u8 { ready, to_validate };

// One more use of what is of the type already, or the claim of a frame that is of none: until the validated bit is set nobody
// else gets in. `last` is then what the frame was before.
Result<Claim> claim(PageInfo& page, PageType type, PageType& last) {
    PageState s = page.load();
    for (;;) {
        if (s.type_uses() == 0) {
            last = s.type();
            const bool plain = type == PageType::writable && (last == PageType::none || last == PageType::writable);
            const PageState claimed = s.with_type(type).plus(PageState::one_type_use);
            if (!page.swap(s, plain ? claimed.with(PageState::validated_bit) : claimed.without(PageState::validated_bit)))
                continue;
            return plain ? Claim::ready : Claim::to_validate;
        }
        if (s.type() != type) return fail(XEN_EBUSY);
        if (!s.has(PageState::validated_bit)) {  // another vCPU is at it
            port::preemption_point();
            s = page.load();
            continue;
        }
        if (s.type_uses() >= PageState::max_count) return fail(XEN_EBUSY);
        if (page.swap(s, s.plus(PageState::one_type_use))) return Claim::ready;
    }
}

}  // namespace

Result<> get_type_use(PageInfo& page, PageType type) {
    PageType last = PageType::none;
    if (TRY(claim(page, type, last)) == Claim::ready) return {};
    // Translations made while it was of another type must be gone before its contents count (or may be written).
    if (last != type) port::flush_stale_tlbs(page.tlb_stamp());
    if (type != PageType::writable) {
        if (Result<> r = port::validate_typed_page(page, type); !r) {
            drop_first_use(page);
            return r;
        }
    }
    page.fetch_or(PageState::validated_bit);
    return {};
}

void drop_first_use(PageInfo& page) {
    page.set_tlb_stamp(TlbStamp(port::tlb_clock()));
    page.fetch_sub(PageState::one_type_use);
}

void put_type_use(PageInfo& page) {
    PageState s = page.load();
    for (;;) {
        if (s.type_uses() == 1) {
            if (s.type() == PageType::writable) {
                page.set_tlb_stamp(TlbStamp(port::tlb_clock()));
            } else {
                // The last use of a checked table: from now on nobody gets a new one until it is taken apart.
                if (!page.swap(s, s.without(PageState::validated_bit))) continue;
                port::invalidate_typed_page(page, s.type());
                drop_first_use(page);
                return;
            }
        }
        if (page.swap(s, s.minus(PageState::one_type_use))) return;
    }
}

bool drop_pin(PageInfo& page) {
    if (!page.fetch_and(~PageState::pinned_bit).has(PageState::pinned_bit)) return false;
    put_typed(page);
    return true;
}

bool get_writable(PageInfo& page, DomId owner) {
    // Not even for a moment the use of a stranger's frame: it would make the stranger's own pins fail.
    if (page.owner() != owner) return false;
    // Reference and use in one step where the frame is writable memory already (or never was anything else).
    PageState s = page.load();
    for (;;) {
        constexpr u64 both = PageState::one_reference + PageState::one_type_use;
        if (s.references() == 0 || s.references() >= PageState::max_count || s.has(PageState::io_bit)) return false;
        if (s.type_uses() != 0) {
            if (s.type() != PageType::writable) return false;
            if (!s.has(PageState::validated_bit) || s.type_uses() >= PageState::max_count) break;
        } else if (s.type() != PageType::none && s.type() != PageType::writable) {
            break;
        }
        if (page.swap(s, s.with_type(PageType::writable).with(PageState::validated_bit).plus(both))) {
            if (page.owner() == owner) [[likely]]
                return true;
            put_writable(page);
            return false;
        }
    }
    return static_cast<bool>(get_reference_and_use(page, owner, PageType::writable));
}

void put_writable(PageInfo& page) {
    PageState s = page.load();
    do {
        if (s.type_uses() == 1) page.set_tlb_stamp(TlbStamp(port::tlb_clock()));
    } while (!page.swap(s, s.minus(PageState::one_reference + PageState::one_type_use)));
    if (s.references() == 1) free_page(page);
}

Result<WritablePage> WritablePage::get(Domain& domain, Gfn gfn) {
    PageInfo* page = find_page(port::gfn_to_mfn(domain, gfn));
    if (page == nullptr || !get_writable(*page, domain.id)) return fail(XEN_EINVAL);
    return WritablePage(page);
}

void* WritablePage::address() const {
    return port::frame_address(mfn());
}

// --- ownership -----------------------------------------------------------------------------------------------------------------

void give_frame_to(PageInfo& page, Domain& domain) {
    page.set_owner(domain.id);
    page.set_tlb_stamp({});
    page.store({PageState::one_reference | PageState::owned_bit | PageState::counted_bit});
}

bool is_dying(const Domain& domain) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return domain.life.load() != Life::alive;
}

Result<Mfn> allocate_domain_pages(Domain& domain, unsigned order, const Wish& wish) {
    const u64 count = u64{1} << order;
    const u64 before = domain.total_pages.fetch_add(count, std::memory_order_relaxed);
    if (before + count > domain.max_pages.load(std::memory_order_relaxed)) {
        domain.total_pages.fetch_sub(count, std::memory_order_relaxed);
        return fail(XEN_ENOMEM);
    }
    const Result<Mfn> mfn = frames().allocate(order, wish.address_bits);
    if (!mfn) {
        domain.total_pages.fetch_sub(count, std::memory_order_relaxed);
        return mfn;
    }
    for (u64 i = 0; i < count; ++i) {
        port::set_m2p(*mfn + i, wish.pfn == invalid_m2p_entry ? invalid_m2p_entry : wish.pfn + i);
        if (wish.contents == Contents::cleared) clear_frame(*mfn + i);
        give_frame_to(*find_page(*mfn + i), domain);
    }
    if (is_dying(domain)) [[unlikely]] {
        for (u64 i = 0; i < count; ++i) (void)release_domain_page(domain, *find_page(*mfn + i));
        return fail(XEN_EINVAL);
    }
    return mfn;
}

void orphan_domain_page(Domain& domain, PageInfo& page) {
    if (!get_reference(page, domain.id)) return;
    const PageState before = page.fetch_and(~(PageState::owned_bit | PageState::counted_bit));
    page.set_owner(domid_invalid);
    if (before.has(PageState::counted_bit)) domain.total_pages.fetch_sub(1, std::memory_order_relaxed);
    if (before.has(PageState::owned_bit)) put_reference(page);
    put_reference(page);
}

Result<> release_domain_page(Domain& domain, PageInfo& page) {
    if (!get_reference(page, domain.id)) return fail(XEN_EINVAL);
    const PageState before = page.fetch_and(~PageState::owned_bit);
    const bool owned = before.has(PageState::owned_bit);
    if (owned) put_reference(page);
    put_reference(page);
    if (!owned) return fail(XEN_EINVAL);
    return {};
}

Result<Mfn> allocate_shared_frame(Domain& domain, bool writable) {
    const Result<Mfn> mfn = frames().allocate(0);
    if (!mfn) return mfn;
    PageInfo& page = *find_page(*mfn);
    clear_frame(*mfn);
    port::set_m2p(*mfn, invalid_m2p_entry);
    page.set_owner(domain.id);
    // One use of its final kind for ever keeps it from becoming anything else (read-only frames are "descriptors" nobody loads).
    const PageType type = writable ? PageType::writable : PageType::segment_descriptors;
    page.store(PageState{PageState::one_reference | PageState::validated_bit | PageState::one_type_use}.with_type(type));
    return mfn;
}

void release_shared_frame(Mfn mfn) {
    PageInfo& page = *find_page(mfn);
    page.set_owner(domid_invalid);  // whoever still maps it may go on, nobody new gets in
    page.set_tlb_stamp(TlbStamp(port::tlb_clock()));
    page.fetch_sub(PageState::one_type_use);
    put_reference(page);
}

}  // namespace xylem
