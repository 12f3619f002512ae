// SPDX-License-Identifier: MIT
#include "arch/x86/mm/early_memory.hpp"

#include <algorithm>

#include "base/panic.hpp"
#include "cpu/layout.hpp"

namespace xylem {

void EarlyMemory::insert(u64 start, u64 end) {
    if (start < end && count_ < capacity) ranges_[count_++] = {start, end};
}

void EarlyMemory::add(u64 start, u64 end) {
    insert(align_up(start, page_size), align_down(end, page_size));
}

void EarlyMemory::reserve(u64 start, u64 end) {
    start = align_down(start, page_size);
    end = align_up(end, page_size);
    for (usize i = 0; i < count_; ++i) {
        Range& r = ranges_[i];
        if (end <= r.start || start >= r.end) continue;
        const Range tail{std::max(end, r.start), r.end};
        r.end = std::max(r.start, start);
        insert(tail.start, tail.end);
    }
}

Maddr EarlyMemory::allocate(u64 bytes, u64 alignment, u64 limit) {
    bytes = align_up(bytes, page_size);
    Range* best = nullptr;
    u64 best_start = 0;
    for (usize i = 0; i < count_; ++i) {
        Range& r = ranges_[i];
        const u64 end = std::min(r.end, limit);
        if (end <= r.start || end - r.start < bytes) continue;
        const u64 start = align_down(end - bytes, alignment);
        if (start >= r.start && (best == nullptr || start > best_start)) {
            best = &r;
            best_start = start;
        }
    }
    if (best == nullptr) panic("not enough memory: {} KiB in one piece are needed at start-up", bytes / kib);
    const Range tail{best_start + bytes, best->end};
    best->end = best_start;
    insert(tail.start, tail.end);
    u64* p = static_cast<u64*>(layout::direct_map(Maddr(best_start)));
    std::fill_n(p, bytes / sizeof(u64), u64{0});
    return Maddr(best_start);
}

}  // namespace xylem
