// SPDX-License-Identifier: MIT
// The operations of hypercall 20, one function each; `argument` is the guest address of `count` operation structures.
// They answer 0 or minus an errno; what became of each operation stands in its status field.
#pragma once

#include <algorithm>

#include "core/grant/table.hpp"
#include "core/port/guest.hpp"
#include "core/port/preempt.hpp"

namespace xylem::grant {

// Operations are copied in and out, and a batch of unmaps is flushed, this many at a time.
inline constexpr u32 batch_size = 32;

Result<> map_grant_refs(Vcpu& vcpu, u64 argument, u32 count);
Result<> unmap_grant_refs(Vcpu& vcpu, u64 argument, u32 count);
Result<> unmap_and_replace(Vcpu& vcpu, u64 argument, u32 count);
Result<> copy_grants(Vcpu& vcpu, u64 argument, u32 count);
Result<> transfer_pages(Vcpu& vcpu, u64 argument, u32 count);
Result<> swap_grant_refs(Vcpu& vcpu, u64 argument, u32 count);

Result<> setup_table(Vcpu& vcpu, u64 argument, u32 count);
Result<> get_status_frames(Vcpu& vcpu, u64 argument, u32 count);
Result<> query_size(Vcpu& vcpu, u64 argument, u32 count);
Result<> set_version(Vcpu& vcpu, u64 argument);
Result<> get_version(Vcpu& vcpu, u64 argument);

// Finds domains by id and remembers the last: batches name the same domain over and over.
class DomainCache {
   public:
    // Null where there is none, or it has no grant table.
    Domain* find(DomId id) {
        if (!domain_ || id != id_) {
            domain_ = find_domain(id);
            id_ = id;
        }
        return domain_ && domain_->grants != nullptr ? domain_.get() : nullptr;
    }

   private:
    DomId id_ = domid_invalid;
    DomainRef domain_;
};

// The frame of every batched operation: copy in, do each, `after` them all, copy the answers out.
template <class Op, class Each, class After>
Result<> in_batches(u64 argument, u32 count, Each each, After after) {
    Op ops[batch_size];
    for (u32 done = 0; done < count;) {
        const u32 n = std::min(count - done, batch_size);
        const GuestPtr<Op> at = GuestPtr<Op>(argument).element(done);
        TRY(at.read_many(ops, n));
        for (u32 i = 0; i < n; ++i) ops[i].status = static_cast<i16>(each(ops[i]));
        after();
        TRY(at.write_many(ops, n));
        done += n;
        if (done < count && !port::preemption_point()) break;
    }
    return {};
}

}  // namespace xylem::grant
