// SPDX-License-Identifier: MIT
// References to frames, and their way into and out of a domain.
#pragma once

#include <utility>

#include "abi/errno.hpp"
#include "core/mem/page.hpp"
#include "cpu/layout.hpp"

namespace xylem {

struct Domain;

// The frame table: one PageInfo for every frame below max_mfn. Holes and firmware memory belong to domid_io.
// Null for frames beyond the table (device memory above RAM).
inline PageInfo* find_page(Mfn mfn) {
    return mfn.raw < layout::frame_count() ? layout::frame_table() + mfn.raw : nullptr;
}
inline Mfn mfn_of(const PageInfo& page) {
    return Mfn(static_cast<u64>(&page - layout::frame_table()));
}

// --- references (any context; never blocks) ---------------------------------------------------------------------------------
// One more reference, if the frame is allocated and owned by `owner`.
bool get_reference(PageInfo& page, DomId owner);
// Gives a reference back; the last one frees the frame.
void put_reference(PageInfo& page);

// One reference and one use as writable memory. Fails where the frame is not the owner's or is used as a page table or
// descriptor page. May flush TLBs (interrupts on).
bool get_writable(PageInfo& page, DomId owner);
void put_writable(PageInfo& page);

// A guest's frame mapped and writable in the hypervisor for as long as the object lives (shared structures of the ABI).
class WritablePage {
   public:
    WritablePage() = default;
    // `gfn` as the domain counts (PV: a machine frame). XEN_EINVAL where it is not plain memory of the domain.
    static Result<WritablePage> get(Domain& domain, Gfn gfn);
    ~WritablePage() {
        if (page_ != nullptr) put_writable(*page_);
    }
    WritablePage(WritablePage&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}
    WritablePage& operator=(WritablePage&& other) noexcept {
        std::swap(page_, other.page_);
        return *this;
    }
    explicit operator bool() const { return page_ != nullptr; }
    void* address() const;
    Mfn mfn() const { return mfn_of(*page_); }

   private:
    explicit WritablePage(PageInfo* p) : page_(p) {}
    PageInfo* page_ = nullptr;
};

// --- ownership (the only functions that change owners; they keep the M2P in step) ---------------------------------------------
// `as_they_are` is for frames that are about to be filled by us: what a former owner left there is nobody else's to see.
enum class Contents : u8 { cleared, as_they_are };
struct Wish {
    unsigned address_bits = 64;
    Contents contents = Contents::cleared;
    u64 pfn = invalid_m2p_entry;  // the first frame's M2P entry
};
// Gives 2^order fresh frames from the allocator to the domain: one reference each, type none. The M2P is written before the
// frames are the domain's: it may guess them and let go of them at once, and then the entry is somebody else's.
// XEN_ENOMEM: no memory, or the domain is at its maximum. XEN_EINVAL: it is dying.
Result<Mfn> allocate_domain_pages(Domain& domain, unsigned order, const Wish& wish = {});
// The owner lets go: drops the allocation's reference (once). The frame is freed when the last reference goes; until then it
// counts as the domain's memory: who keeps mappings of what it gave back must not get more for it.
// XEN_EINVAL where the frame is not the domain's or was let go before.
Result<> release_domain_page(Domain& domain, PageInfo& page);

// The domain dies: the frame (let go or not) is its own no more, and nobody's. It is freed when the last reference goes; until
// then those who have it mapped keep it, but nobody new can get at it, also not a later domain of the same number.
void orphan_domain_page(Domain& domain, PageInfo& page);

// --- handing frames over (XENMEM_exchange, GNTTABOP_transfer) ------------------------------------------------------------------
// Takes a frame away from its domain that nobody else uses: afterwards it has no owner, counts as nobody's memory, and is the
// caller's. The M2P keeps its entry. XEN_EINVAL: not the domain's, or let go before. XEN_EBUSY: any reference besides the
// owner's, any type use, a pin.
Result<> detach_domain_page(Domain& domain, PageInfo& page);
// Gives a detached frame to a domain, contents and all (the M2P entry stays); translations that the former owner had of it
// are gone from every TLB when it returns. XEN_ENOMEM: the domain is at its maximum
// (not checked for `returning`: what was the domain's a moment ago). XEN_EINVAL: it is dying. The frame is still the
// caller's then.
Result<> attach_domain_page(Domain& domain, PageInfo& page, bool returning = false);
// To the allocator; M2P = invalid.
void free_detached_page(PageInfo& page);

// Frames the hypervisor shares with a guest (shared_info, grant tables): owned by the domain for references, not counted as
// its memory, `writable` says how guests may map them.
Result<Mfn> allocate_shared_frame(Domain& domain, bool writable = true);
void release_shared_frame(Mfn mfn);

}  // namespace xylem
