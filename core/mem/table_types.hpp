// SPDX-License-Identifier: MIT
// Type uses of frames (see page.hpp). Only arch code that keeps page tables and descriptor pages needs these.
#pragma once

#include "abi/errno.hpp"
#include "core/mem/page.hpp"

namespace xylem {

struct Domain;

// One more use as `type`; the caller holds a reference. The first use validates the contents (long, may yield to other vCPUs):
// no locks. XEN_EBUSY: in use as another type; or whatever validation says.
Result<> get_type_use(PageInfo& page, PageType type);
// The last use takes a table apart (long, may yield).
void put_type_use(PageInfo& page);
// What a pin, an entry of a table and a vCPU's root hold: a reference to a frame of `owner`'s and a use as `type`. `page` may be
// null: XEN_EINVAL as for a frame of another's, else as get_type_use().
Result<> get_typed(PageInfo* page, DomId owner, PageType type);
void put_typed(PageInfo& page);
// The common case, in one step: one more of both for a frame of `owner`'s that is in use, checked, and of a type which `fits`
// (which is told its state). Answers that type; none: there is more to do, or it is not to be had.
template <class Fits>
PageType get_ready_use(PageInfo& page, DomId owner, Fits&& fits) {
    PageState s = page.load();
    do {
        if (!fits(s) || s.type_uses() == 0 || page.owner() != owner || s.type_uses() >= PageState::max_count ||
            s.references() >= PageState::max_count)
            return PageType::none;
    } while (!page.swap(s, s.plus(PageState::one_type_use + PageState::one_reference)));
    // Between the look at the owner and the swap the frame may have changed hands; now it cannot any more.
    if (page.owner() == owner) [[likely]]
        return s.type();
    put_typed(page);
    return PageType::none;
}
// Gives up a pin, the guest's own use of its frame as a page table, and the reference that goes with it (long, may yield). False:
// there was none. The caller holds a reference.
bool drop_pin(PageInfo& page);
// Undoes a claimed first use whose validation failed.
void drop_first_use(PageInfo& page);

// A frame out of the allocator becomes the domain's: one reference. Accounting is the caller's.
void give_frame_to(PageInfo& page, Domain& domain);
// To be asked after that: a domain that dies may have been searched for frames already, so that this one is to be let go of.
bool is_dying(const Domain& domain);

namespace port {
// arch: checks the contents of a frame that is to be used as a page table or descriptor page and takes the references its
// entries need; and gives them back.
Result<> validate_typed_page(PageInfo& page, PageType type);
void invalidate_typed_page(PageInfo& page, PageType type);
}  // namespace port

}  // namespace xylem
