// SPDX-License-Identifier: MIT
// The machine's free frames: a buddy allocator whose zones are powers of two, so that "below N address bits" is exact.
#pragma once

#include <array>

#include "abi/errno.hpp"
#include "base/sync/spinlock.hpp"
#include "core/mem/page.hpp"

namespace xylem {

class FrameAllocator {
   public:
    static constexpr unsigned max_order = 20;  // 4 GiB

    // Boot: hands frames to the allocator. They must be RAM, unused, and covered by the frame table.
    void add(Mfn start, u64 count);

    // 2^order frames, aligned to their size, every byte below 2^address_bits. Prefers high memory. The frames' PageInfo is
    // {no references, no type, owner invalid}; contents are whatever they were. No CPU holds a stale translation of them.
    // XEN_ENOMEM when there are none. Interrupts on; takes the allocator's lock.
    Result<Mfn> allocate(unsigned order, unsigned address_bits = 64);
    // Gives frames back. No reference may be left; stale TLB entries are flushed before the next use, not now.
    void release(Mfn start, unsigned order);
    // Any number of neighbours. Aligned to the power of two that holds them.
    Result<Mfn> allocate_run(u64 count);
    void release_run(Mfn start, u64 count);

    u64 free_frames() const;
    // Those whose addresses are at least 2^from_bits (0: no lower bound) and below 2^to_bits. Walks the lists: for tools only.
    u64 free_frames_between(unsigned from_bits, unsigned to_bits) const;
    u64 total_frames() const;  // ever added

   private:
    static constexpr unsigned zones = 41;

    void insert(u64 index, unsigned order, TlbStamp stamp) XYLEM_REQUIRES(lock_);
    void unlink(u64 index, unsigned order) XYLEM_REQUIRES(lock_);
    void free_block(u64 index, unsigned order, TlbStamp stamp) XYLEM_REQUIRES(lock_);
    void free_run(u64 start, u64 count, TlbStamp stamp) XYLEM_REQUIRES(lock_);

    mutable Spinlock lock_;
    std::array<std::array<u32, max_order + 1>, zones> heads_ XYLEM_GUARDED_BY(lock_){};  // index + 1; 0 = empty
    std::array<u32, zones> orders_present_ XYLEM_GUARDED_BY(lock_){};                    // bit per order
    u64 free_ XYLEM_GUARDED_BY(lock_) = 0;
    u64 total_ XYLEM_GUARDED_BY(lock_) = 0;
};

}  // namespace xylem
