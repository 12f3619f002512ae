// SPDX-License-Identifier: MIT
// What the hypervisor knows of a machine frame: who owns it, how many hold it, and what it is being used as.
//
// Two counts protect the machine from a PV guest. `references`: the frame may not be freed while any is left. `type uses`:
// the frame may not change its type while any is left; a frame mapped writable can thus never be a page table at the same
// time. Both live in one word, so taking a reference together with a type use is one compare-and-swap.
#pragma once

#include <atomic>

#include "abi/xen.hpp"
#include "base/types.hpp"
#include "core/mem/tlb_stamp.hpp"

namespace xylem {

// The machine-to-physical table's word for frames that are no guest's memory.
inline constexpr u64 invalid_m2p_entry = ~u64{0};

enum class PageType : u8 { none = 0, l1 = 1, l2 = 2, l3 = 3, l4 = 4, segment_descriptors = 5, writable = 6 };

constexpr bool is_page_table(PageType t) {
    return t >= PageType::l1 && t <= PageType::l4;
}

// The packed state of an allocated frame; all operations are on values, PageInfo swaps them in.
struct PageState {
    u64 raw = 0;

    static constexpr unsigned count_bits = 26;
    static constexpr u64 one_reference = 1;
    static constexpr u64 one_type_use = u64{1} << count_bits;
    static constexpr u64 count_mask = (u64{1} << count_bits) - 1;
    static constexpr u64 max_count = count_mask - 8;  // headroom: concurrent increments stop before they wrap
    static constexpr unsigned type_shift = 52;
    static constexpr u64 type_mask = u64{7} << type_shift;
    static constexpr u64 validated_bit = u64{1} << 55;  // contents checked for the type; clear while being (de)validated
    static constexpr u64 pinned_bit = u64{1} << 56;     // the guest holds one type use and one reference by a pin
    static constexpr u64 counted_bit = u64{1} << 57;  // one of its owner's total_pages: until it is freed, not until it is let go
    static constexpr u64 owned_bit = u64{1} << 58;    // the owner still holds its own reference (allocation)
    static constexpr u64 io_bit = u64{1} << 59;       // device or firmware memory: never counted, never freed
    static constexpr u64 free_bit = u64{1} << 63;     // on a free list; the other bits then mean order and TLB stamp

    constexpr u64 references() const { return raw & count_mask; }
    constexpr u64 type_uses() const { return (raw >> count_bits) & count_mask; }
    constexpr PageType type() const { return static_cast<PageType>((raw & type_mask) >> type_shift); }
    // Allocated, and its contents are checked for its type, which is this one.
    constexpr bool is_checked(PageType t) const {
        return (raw & (type_mask | validated_bit | free_bit)) == (u64{static_cast<u8>(t)} << type_shift | validated_bit);
    }
    constexpr bool is_checked() const { return (raw & (validated_bit | free_bit)) == validated_bit; }
    constexpr bool has(u64 bit) const { return (raw & bit) != 0; }
    // io_bit of a frame that may be free: there the bit is part of the order.
    constexpr bool is_device() const { return (raw & (io_bit | free_bit)) == io_bit; }
    constexpr PageState with_type(PageType t) const { return {(raw & ~type_mask) | (u64{static_cast<u8>(t)} << type_shift)}; }
    constexpr PageState with(u64 bits) const { return {raw | bits}; }
    constexpr PageState without(u64 bits) const { return {raw & ~bits}; }
    constexpr PageState plus(u64 n) const { return {raw + n}; }
    constexpr PageState minus(u64 n) const { return {raw - n}; }
};

// 16 bytes per frame of the machine; the frame table is an array of these, indexed by mfn.
class PageInfo {
   public:
    PageState load() const { return {state_.load(std::memory_order_acquire)}; }
    bool swap(PageState& expected, PageState wanted) {
        return state_.compare_exchange_weak(expected.raw, wanted.raw, std::memory_order_acq_rel, std::memory_order_acquire);
    }
    void store(PageState s) { state_.store(s.raw, std::memory_order_release); }
    PageState fetch_add(u64 n) { return {state_.fetch_add(n, std::memory_order_acq_rel)}; }
    PageState fetch_sub(u64 n) { return {state_.fetch_sub(n, std::memory_order_acq_rel)}; }
    PageState fetch_or(u64 bits) { return {state_.fetch_or(bits, std::memory_order_acq_rel)}; }
    PageState fetch_and(u64 bits) { return {state_.fetch_and(bits, std::memory_order_acq_rel)}; }

    // Allocated frames only.
    DomId owner() const { return DomId(owner_); }
    void set_owner(DomId d) { owner_ = d.raw; }
    TlbStamp tlb_stamp() const { return tlb_stamp_; }
    void set_tlb_stamp(TlbStamp s) { tlb_stamp_ = s; }

    // The heap's frames only: how many pieces of the frame are in use.
    u16& pieces() { return pieces_; }

    // Free frames only (the frame allocator's links; ~0 = none).
    struct Links {
        u32 next, previous;
    };
    Links& links() { return links_; }

   private:
    std::atomic<u64> state_;
    union {
        Links links_;
        struct {
            u16 owner_;
            u16 pieces_;
            TlbStamp tlb_stamp_;
        };
    };
};
static_assert(sizeof(PageInfo) == 16);

}  // namespace xylem
