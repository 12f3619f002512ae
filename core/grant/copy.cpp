// SPDX-License-Identifier: MIT
// Copying between pages named by grants or, for the caller's own, by frame number. Network backends live on this: runs of
// operations on the same page keep it in use instead of beginning anew.
#include <algorithm>

#include "core/grant/operations.hpp"
#include "core/port/machine.hpp"
#include "core/port/preempt.hpp"

namespace xylem::grant {
namespace {

using CopyPointer = gnttab_copy::gnttab_copy_ptr;

// One side of a copy while it is held: the page and the range of it that may be touched. Frame and page come from the entry
// in use, never from the shared one (XSA-500).
class Side {
   public:
    explicit Side(bool writable) : writable_(writable) {}
    ~Side() { release(); }
    Side(const Side&) = delete;
    Side& operator=(const Side&) = delete;

    Status acquire(Domain& caller, const CopyPointer& p, bool is_grant);
    void release();
    bool covers(u32 offset, u32 length) const { return offset >= start_ && offset + length <= end_; }
    u8* address() const { return address_; }

   private:
    Status acquire_grant(Domain& caller, const CopyPointer& p);
    Status acquire_frame(Domain& caller, u64 gfn);
    Status hold(Mfn mfn, DomId owner);
    u64 kinds() const { return writable_ ? pin::host_write : pin::host_read; }

    const bool writable_;
    bool held_ = false;
    bool is_grant_ = false;
    u16 domid_ = 0;
    u64 number_ = 0;  // grant reference or gfn
    DomainRef domain_;
    DomainRef next_domain_;  // a transitive grant's second step
    u32 next_ref_ = 0;
    PageInfo* page_ = nullptr;
    bool page_held_ = false;  // a reference or use of our own, besides the entry's
    u8* address_ = nullptr;
    u32 start_ = 0;
    u32 end_ = 0;
};

Status Side::acquire(Domain& caller, const CopyPointer& p, bool is_grant) {
    const u64 number = is_grant ? p.u.ref : p.u.gmfn;
    if (held_ && is_grant == is_grant_ && p.domid == domid_ && number == number_) return GNTST_okay;
    release();
    // Only the caller's own pages go by frame number.
    if (!is_grant && DomId(p.domid) != domid_self)
        return find_domain(DomId(p.domid)) ? GNTST_permission_denied : GNTST_bad_domain;
    is_grant_ = is_grant;
    domid_ = p.domid;
    number_ = number;
    const Status status = is_grant ? acquire_grant(caller, p) : acquire_frame(caller, number);
    held_ = status == GNTST_okay;
    return status;
}

Status Side::hold(Mfn mfn, DomId owner) {
    page_ = find_page(mfn);
    // A source's page is held by its entry in use; a destination must besides be plain writable memory.
    if (writable_ && !get_writable(*page_, owner)) return GNTST_general_error;
    page_held_ = writable_;
    address_ = static_cast<u8*>(port::frame_address(mfn));
    return GNTST_okay;
}

Status Side::acquire_grant(Domain& caller, const CopyPointer& p) {
    domain_ = find_domain(DomId(p.domid));
    if (!domain_ || domain_->grants == nullptr || domain_->life.load(std::memory_order_relaxed) != Life::alive)
        return GNTST_bad_domain;
    Grant grant;
    if (Status bad = domain_->grants->begin_use(p.u.ref, caller.id, kinds(), Use::copy, grant)) return bad;
    DomId owner = domain_->id;
    Status status = GNTST_okay;
    if (grant.kind == Grant::Kind::transitive) {
        // The entry passes on what `next_domain` grants to its owner; one step only.
        next_domain_ = grant.next_domain == domid_self ? DomainRef() : find_domain(grant.next_domain);
        next_ref_ = grant.next_ref;
        status = GNTST_general_error;
        if (next_domain_ && next_domain_->grants != nullptr) {
            owner = next_domain_->id;
            status = next_domain_->grants->begin_use(next_ref_, domain_->id, kinds(), Use::nested_copy, grant);
        }
        if (status != GNTST_okay) next_domain_ = DomainRef();
    }
    if (status == GNTST_okay) {
        const bool part = grant.kind == Grant::Kind::part_of_page;
        start_ = part ? grant.start : 0;
        end_ = part ? std::min<u32>(u32{grant.start} + grant.length, page_size) : page_size;
        status = hold(grant.mfn, owner);
        if (status != GNTST_okay && next_domain_) {
            next_domain_->grants->end_use(next_ref_, kinds());
            next_domain_ = DomainRef();
        }
    }
    if (status != GNTST_okay) domain_->grants->end_use(p.u.ref, kinds());
    return status;
}

Status Side::acquire_frame(Domain& caller, u64 gfn) {
    const Mfn mfn = port::gfn_to_mfn(caller, Gfn(gfn));
    page_ = find_page(mfn);
    if (page_ == nullptr || !get_reference(*page_, caller.id)) return GNTST_bad_page;
    const Status status = hold(mfn, caller.id);
    if (writable_)
        put_reference(*page_);  // hold() took its own, or failed
    else
        page_held_ = true;
    start_ = 0;
    end_ = page_size;
    return status;
}

void Side::release() {
    if (!held_) return;
    held_ = false;
    if (page_held_) {
        if (writable_)
            put_writable(*page_);
        else
            put_reference(*page_);
        page_held_ = false;
    }
    if (!is_grant_) return;
    if (next_domain_) next_domain_->grants->end_use(next_ref_, kinds());
    domain_->grants->end_use(static_cast<u32>(number_), kinds());
    next_domain_ = DomainRef();
    domain_ = DomainRef();
}

Status copy_one(Domain& caller, const gnttab_copy& op, Side& source, Side& destination) {
    if (Status bad = source.acquire(caller, op.source, (op.flags & GNTCOPY_source_gref) != 0)) return bad;
    if (Status bad = destination.acquire(caller, op.dest, (op.flags & GNTCOPY_dest_gref) != 0)) return bad;
    if (u32{op.source.offset} + op.len > page_size || u32{op.dest.offset} + op.len > page_size) return GNTST_bad_copy_arg;
    if (!source.covers(op.source.offset, op.len) || !destination.covers(op.dest.offset, op.len)) return GNTST_general_error;
    // Both sides may be one page.
    __builtin_memmove(destination.address() + op.dest.offset, source.address() + op.source.offset, op.len);
    return GNTST_okay;
}

}  // namespace

Result<> copy_grants(Vcpu& vcpu, u64 argument, u32 count) {
    gnttab_copy ops[batch_size];
    for (u32 done = 0; done < count;) {
        const u32 n = std::min(count - done, batch_size);
        const GuestPtr<gnttab_copy> at = GuestPtr<gnttab_copy>(argument).element(done);
        TRY(at.read_many(ops, n));
        {
            Side source(false);
            Side destination(true);
            for (u32 i = 0; i < n; ++i) ops[i].status = static_cast<i16>(copy_one(vcpu.domain, ops[i], source, destination));
        }
        TRY(at.write_many(ops, n));
        done += n;
        if (done < count && !port::preemption_point()) break;
    }
    return {};
}

}  // namespace xylem::grant
