// SPDX-License-Identifier: MIT
// More or less memory for a domain, extent by extent. The answer is the number of extents done; an errno only where that is
// none for a reason other than lack of memory.
#include <algorithm>
#include <span>

#include "core/domain/domain.hpp"
#include "core/mem/frames.hpp"
#include "core/mem/memory_op.hpp"
#include "core/port/guest.hpp"
#include "core/port/preempt.hpp"

namespace xylem::memory {
namespace {

// Frame numbers are copied this many at a time; between pieces of about `preempt_after` pages others may run.
constexpr u32 piece = 64;
constexpr u64 preempt_after = 512;

struct Extents {
    DomainRef domain;
    GuestPtr<u64> list;
    u64 count = 0;
    unsigned order = 0;
    unsigned address_bits = 64;
    u64 pages() const { return u64{1} << order; }
};

Result<Extents> read_extents(Vcpu& vcpu, u64 argument) {
    const auto op = TRY(GuestPtr<xen_memory_reservation>(argument).read());
    Extents e;
    e.domain = TRY(find_domain_for(vcpu.domain, DomId(op.domid)));
    if (op.extent_order > max_extent_order(vcpu.domain)) return fail(XEN_EPERM);
    e.list = GuestPtr<u64>(op.extent_start);
    e.count = std::min(op.nr_extents, u64{INT64_MAX});
    e.order = op.extent_order;
    const unsigned bits = XENMEMF_get_address_bits(op.mem_flags);
    if (bits != 0) {
        if (bits <= page_shift) return fail(XEN_EINVAL);
        e.address_bits = std::min(bits, 64u);
    }
    return e;
}

bool may_grow(const Domain& d) {
    return d.life.load(std::memory_order_relaxed) == Life::alive;
}

void release_extent(Domain& d, Mfn first, u64 pages) {
    for (u64 i = 0; i < pages; ++i) (void)release_domain_page(d, *find_page(first + i));
}

// Offers to stand aside now and then, by the pages worked on.
struct Pace {
    u64 pages = 0;
    // False: the caller's domain is being destroyed, stop.
    bool did(u64 n) {
        pages += n;
        if (pages < preempt_after) return true;
        pages = 0;
        return port::preemption_point();
    }
};

// How `done` extents and the reason to stop make an answer.
Result<long> count_or(u64 done, Errno reason) {
    if (done == 0) return fail(reason);
    return static_cast<long>(done);
}

// Allocates up to `want.size()` extents and leaves their frames in `want` (gfns on entry for populate). How many.
u32 allocate_piece(const Extents& e, std::span<u64> want, bool populate, Pace& pace) {
    u32 made = 0;
    for (u64& slot : want) {
        const u64 pfn = populate ? slot : invalid_m2p_entry;
        const auto mfn = allocate_domain_pages(*e.domain, e.order, {.address_bits = e.address_bits, .pfn = pfn});
        if (!mfn) break;
        slot = mfn->raw;
        ++made;
        if (!pace.did(e.pages())) break;
    }
    return made;
}

Result<long> grow(Vcpu& vcpu, u64 argument, bool populate) {
    const Extents e = TRY(read_extents(vcpu, argument));
    if (!may_grow(*e.domain)) return fail(XEN_EINVAL);
    u64 list[piece] = {};
    Pace pace;
    for (u64 done = 0; done < e.count;) {
        const u32 n = static_cast<u32>(std::min<u64>(e.count - done, piece));
        if (populate && !e.list.element(done).read_many(list, n)) return count_or(done, XEN_EFAULT);
        const u32 made = allocate_piece(e, std::span(list, n), populate, pace);
        // increase_reservation works without a list; nobody learns the frames then.
        const bool tell = populate || !e.list.is_null();
        if (tell && made != 0 && !e.list.element(done).write_many(list, made)) {
            for (u32 i = 0; i < made; ++i) release_extent(*e.domain, Mfn(list[i]), e.pages());
            return count_or(done, XEN_EFAULT);
        }
        done += made;
        if (made < n) return static_cast<long>(done);
    }
    return static_cast<long>(e.count);
}

}  // namespace

Result<long> increase_reservation(Vcpu& vcpu, u64 argument) {
    return grow(vcpu, argument, false);
}

Result<long> populate_physmap(Vcpu& vcpu, u64 argument) {
    return grow(vcpu, argument, true);
}

// The M2P follows in release_domain_page. A frame that others still use is freed when they let go.
Result<long> decrease_reservation(Vcpu& vcpu, u64 argument) {
    const Extents e = TRY(read_extents(vcpu, argument));
    u64 list[piece];
    Pace pace;
    for (u64 done = 0; done < e.count;) {
        const u32 n = static_cast<u32>(std::min<u64>(e.count - done, piece));
        if (!e.list.element(done).read_many(list, n)) return count_or(done, XEN_EFAULT);
        for (u32 i = 0; i < n; ++i, ++done) {
            for (u64 k = 0; k < e.pages(); ++k) {
                PageInfo* page = find_page(port::gfn_to_mfn(*e.domain, Gfn(list[i]) + k));
                if (page == nullptr || !release_domain_page(*e.domain, *page)) return static_cast<long>(done);
            }
            if (!pace.did(e.pages())) return static_cast<long>(done);
        }
    }
    return static_cast<long>(e.count);
}

// Says whether the memory is there; with one toolstack at a time nothing takes it away before it is populated.
Result<long> claim_pages(Vcpu& vcpu, u64 argument) {
    const auto op = TRY(GuestPtr<xen_memory_reservation>(argument).read());
    if (!vcpu.domain.is_control_domain) return fail(XEN_EPERM);
    if (op.extent_start.p != nullptr || op.extent_order != 0 || op.mem_flags != 0) return fail(XEN_EINVAL);
    const DomainRef d = TRY(find_domain_for(vcpu.domain, DomId(op.domid)));
    if (op.nr_extents == 0) return 0;
    const u64 has = d->total_pages.load(std::memory_order_relaxed);
    if (op.nr_extents <= has || op.nr_extents > d->max_pages.load(std::memory_order_relaxed)) return fail(XEN_EINVAL);
    if (op.nr_extents - has > frames().free_frames()) return fail(XEN_ENOMEM);
    return 0;
}

}  // namespace xylem::memory
