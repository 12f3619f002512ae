// SPDX-License-Identifier: MIT
// Powers of two up to half a page from free lists cut out of single frames; anything bigger is whole frames.
#include "core/mem/heap.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "base/sync/spinlock.hpp"
#include "core/mem/frames.hpp"
#include "core/port/machine.hpp"
#include "cpu/layout.hpp"

namespace xylem {
namespace {

constexpr unsigned smallest_bits = 5;
constexpr unsigned largest_bits = 11;

struct FreeChunk {
    FreeChunk* next;
};

class Heap {
   public:
    void* allocate(usize bytes) {
        const unsigned bits = size_class(bytes);
        if (bits > largest_bits) return pages(bytes);
        {
            IrqGuard g(lock_);
            if (FreeChunk* c = take(bits)) return c;
        }
        u8* page = static_cast<u8*>(pages(page_size));
        if (page == nullptr) return nullptr;
        IrqGuard g(lock_);
        for (u64 at = 0; at < page_size; at += u64{1} << bits) give(bits, page + at);
        return take(bits);
    }
    void release(void* p, usize bytes) {
        const unsigned bits = size_class(bytes);
        if (bits > largest_bits) {
            frames().release_run(mfn_of(layout::maddr_of_direct(p)), page_count(bytes));
            return;
        }
        std::fill_n(static_cast<u8*>(p), u64{1} << bits, u8{0});
        IrqGuard g(lock_);
        used_ -= u64{1} << bits;
        give(bits, p);
    }
    u64 used() const {
        IrqGuard g(lock_);
        return used_;
    }

   private:
    static unsigned size_class(usize bytes) { return std::max(smallest_bits, static_cast<unsigned>(std::bit_width(bytes - 1))); }
    static u64 page_count(usize bytes) { return align_up(u64{bytes}, page_size) >> page_shift; }
    static void* pages(usize bytes) {
        const u64 count = page_count(bytes);
        const Result<Mfn> m = frames().allocate_run(count);
        if (!m) return nullptr;
        u64* p = static_cast<u64*>(port::frame_address(*m));
        std::fill_n(p, count * (page_size / 8), u64{0});
        return p;
    }
    FreeChunk* take(unsigned bits) XYLEM_REQUIRES(lock_) {
        FreeChunk* c = lists_[bits];
        if (c == nullptr) return nullptr;
        lists_[bits] = c->next;
        c->next = nullptr;
        used_ += u64{1} << bits;
        return c;
    }
    void give(unsigned bits, void* p) XYLEM_REQUIRES(lock_) {
        auto* c = static_cast<FreeChunk*>(p);
        c->next = lists_[bits];
        lists_[bits] = c;
    }

    mutable Spinlock lock_;
    std::array<FreeChunk*, largest_bits + 1> lists_ XYLEM_GUARDED_BY(lock_){};
    u64 used_ XYLEM_GUARDED_BY(lock_) = 0;
};

constinit Heap heap;

}  // namespace

void* heap_allocate(usize bytes) {
    return bytes == 0 ? nullptr : heap.allocate(bytes);
}
void heap_release(void* p, usize bytes) {
    if (p != nullptr) heap.release(p, bytes);
}
u64 heap_bytes_used() {
    return heap.used();
}

}  // namespace xylem
