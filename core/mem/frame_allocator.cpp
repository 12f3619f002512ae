// SPDX-License-Identifier: MIT
// A free block is described by the PageInfo of its first frame: state = free bit, order, TLB stamp; links = neighbours in the
// list of its zone and order. The zone of a frame is the position of the highest bit of its number, so a block never crosses
// a zone, and "below 2^n bytes" is "zones up to n - 12".
#include "core/mem/frame_allocator.hpp"

#include <algorithm>
#include <bit>

#include "base/panic.hpp"
#include "core/mem/frames.hpp"
#include "core/mem/pages.hpp"
#include "core/port/machine.hpp"

namespace xylem {
namespace {

constexpr unsigned order_shift = 58;
constexpr unsigned stamp_shift = 26;  // above the reference count: a free frame never looks referenced

unsigned zone_of(u64 index) {
    return static_cast<unsigned>(std::bit_width(index));
}

PageState free_state(unsigned order, TlbStamp stamp) {
    return {PageState::free_bit | (u64{order} << order_shift) | (u64{stamp.low} << stamp_shift)};
}
bool is_free_of_order(PageState s, unsigned order) {
    return s.has(PageState::free_bit) && ((s.raw >> order_shift) & 0x1f) == order;
}
TlbStamp stamp_of(PageState s) {
    return TlbStamp(s.raw >> stamp_shift);
}

PageInfo& info(u64 index) {
    return layout::frame_table()[index];
}

}  // namespace

FrameAllocator& frames() {
    static constinit FrameAllocator instance;
    return instance;
}

void FrameAllocator::insert(u64 index, unsigned order, TlbStamp stamp) {
    const unsigned zone = zone_of(index);
    u32& head = heads_[zone][order];
    info(index).store(free_state(order, stamp));
    info(index).links() = {head, 0};
    const u32 self = static_cast<u32>(index + 1);
    if (head != 0) info(head - 1).links().previous = self;
    head = self;
    orders_present_[zone] |= 1U << order;
}

void FrameAllocator::unlink(u64 index, unsigned order) {
    const unsigned zone = zone_of(index);
    const PageInfo::Links links = info(index).links();
    if (links.next != 0) info(links.next - 1).links().previous = links.previous;
    if (links.previous != 0) {
        info(links.previous - 1).links().next = links.next;
    } else {
        heads_[zone][order] = links.next;
        if (links.next == 0) orders_present_[zone] &= ~(1U << order);
    }
    info(index).store({0});
}

void FrameAllocator::free_block(u64 index, unsigned order, TlbStamp stamp) {
    while (order < max_order) {
        const u64 buddy = index ^ (u64{1} << order);
        if (buddy >= layout::frame_count() || zone_of(buddy) != zone_of(index) || !is_free_of_order(info(buddy).load(), order))
            break;
        stamp = TlbStamp::later(stamp, stamp_of(info(buddy).load()), port::tlb_clock());
        unlink(buddy, order);
        info(index).store({0});
        index &= ~(u64{1} << order);
        ++order;
    }
    insert(index, order, stamp);
}

void FrameAllocator::add(Mfn start, u64 count) {
    Guard g(lock_);
    u64 index = start.raw;
    total_ += count;
    free_ += count;
    while (count > 0) {
        unsigned order = index == 0 ? 0 : static_cast<unsigned>(std::countr_zero(index));
        if (order > max_order) order = max_order;
        while ((u64{1} << order) > count) --order;
        free_block(index, order, {});
        index += u64{1} << order;
        count -= u64{1} << order;
    }
}

Result<Mfn> FrameAllocator::allocate(unsigned order, unsigned address_bits) {
    if (order > max_order) return fail(XEN_ENOMEM);
    const unsigned highest =
        address_bits >= page_shift + zones ? zones - 1 : (address_bits > page_shift ? address_bits - page_shift : 0);
    u64 index = 0;
    TlbStamp stamp;
    {
        Guard g(lock_);
        unsigned zone = highest + 1;
        unsigned found = 0;
        while (zone-- > 0) {
            const u32 candidates = orders_present_[zone] >> order;
            if (candidates == 0) continue;
            found = order + static_cast<unsigned>(std::countr_zero(candidates));
            break;
        }
        if (zone > highest) return fail(XEN_ENOMEM);
        index = heads_[zone][found] - 1;
        stamp = stamp_of(info(index).load());
        unlink(index, found);
        // The lower halves stay free; the block keeps its upper end, so that low memory is left for who needs it.
        while (found > order) {
            --found;
            insert(index, found, stamp);
            index += u64{1} << found;
        }
        free_ -= u64{1} << order;
    }
    port::flush_stale_tlbs(stamp);
    for (u64 i = 0; i < (u64{1} << order); ++i) {
        info(index + i).store({0});
        info(index + i).set_owner(domid_invalid);
        info(index + i).set_tlb_stamp({});
    }
    return Mfn(index);
}

void FrameAllocator::release(Mfn start, unsigned order) {
    Guard g(lock_);
    free_block(start.raw, order, TlbStamp(port::tlb_clock()));
    free_ += u64{1} << order;
}

void FrameAllocator::free_run(u64 start, u64 count, TlbStamp stamp) {
    free_ += count;
    for (u64 at = start, end = start + count; at < end;) {
        const unsigned fits = static_cast<unsigned>(std::bit_width(end - at)) - 1;
        const unsigned order = std::min({static_cast<unsigned>(std::countr_zero(at)), fits, max_order});
        free_block(at, order, stamp);
        at += u64{1} << order;
    }
}

Result<Mfn> FrameAllocator::allocate_run(u64 count) {
    const unsigned order = static_cast<unsigned>(std::bit_width(count - 1));
    const Mfn start = TRY(allocate(order));
    Guard g(lock_);
    free_run(start.raw + count, (u64{1} << order) - count, {});  // nobody used the rest: no translations to flush
    return start;
}

void FrameAllocator::release_run(Mfn start, u64 count) {
    Guard g(lock_);
    free_run(start.raw, count, TlbStamp(port::tlb_clock()));
}

u64 FrameAllocator::free_frames_between(unsigned from_bits, unsigned to_bits) const {
    // Zone z holds the addresses from 2^(page_shift + z - 1) up to 2^(page_shift + z), zone 0 the first page.
    const auto first_zone_from = [](unsigned bits) { return bits < page_shift ? 0 : std::min(bits - page_shift + 1, zones); };
    const unsigned end = first_zone_from(to_bits);
    u64 count = 0;
    Guard g(lock_);
    for (unsigned zone = from_bits == 0 ? 0 : first_zone_from(from_bits); zone < end; ++zone)
        for (unsigned order = 0; order <= max_order; ++order)
            for (u32 at = heads_[zone][order]; at != 0; at = info(at - 1).links().next) count += u64{1} << order;
    return count;
}

u64 FrameAllocator::free_frames() const {
    Guard g(lock_);
    return free_;
}
u64 FrameAllocator::total_frames() const {
    Guard g(lock_);
    return total_;
}

}  // namespace xylem
