// SPDX-License-Identifier: MIT
// Powers of two up to half a page are pieces of single frames, with a list of the free ones for each size; anything bigger is
// whole frames. A frame whose pieces are all free goes back; one such frame of each size at most is kept.
#include "core/mem/heap.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>

#include "base/sync/spinlock.hpp"
#include "core/mem/frames.hpp"
#include "core/mem/pages.hpp"
#include "core/port/machine.hpp"
#include "cpu/layout.hpp"

namespace xylem {
namespace {

constexpr unsigned smallest_bits = 5;
constexpr unsigned largest_bits = 11;

struct FreePiece {
    FreePiece* next;
    FreePiece* previous;
};

class Heap {
   public:
    void* allocate(usize bytes) {
        const unsigned bits = size_class(bytes);
        if (bits > largest_bits) {
            void* p = pages(bytes);
            if (p != nullptr) used_ += page_count(bytes) * page_size;
            return p;
        }
        {
            IrqGuard g(lock_);
            if (void* p = take(bits)) return p;
        }
        u8* page = static_cast<u8*>(pages(page_size));
        if (page == nullptr) return nullptr;
        frame_of(page).pieces() = 0;
        IrqGuard g(lock_);
        for (u64 at = 0; at < page_size; at += u64{1} << bits) give(bits, page + at);
        return take(bits);
    }
    void release(void* p, usize bytes) {
        const unsigned bits = size_class(bytes);
        if (bits > largest_bits) {
            used_ -= page_count(bytes) * page_size;
            frames().release_run(mfn_of(layout::maddr_of_direct(p)), page_count(bytes));
            return;
        }
        std::fill_n(static_cast<u8*>(p), u64{1} << bits, u8{0});
        if (u8* page = put(bits, p)) frames().release(mfn_of(frame_of(page)), 0);
    }
    u64 used() const { return used_; }

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
    static PageInfo& frame_of(const void* p) { return *find_page(mfn_of(layout::maddr_of_direct(p))); }

    // A piece that was free, in use now; null where none is.
    void* take(unsigned bits) XYLEM_REQUIRES(lock_) {
        FreePiece* p = lists_[bits].first;
        if (p == nullptr) return nullptr;
        unlink(bits, p);
        *p = {};
        ++frame_of(p).pieces();
        used_ += u64{1} << bits;
        return p;
    }
    // A piece that was in use, free now. Its frame where that can go back.
    u8* put(unsigned bits, void* p) {
        const IrqGuard g(lock_);
        used_ -= u64{1} << bits;
        give(bits, p);
        if (--frame_of(p).pieces() != 0 || lists_[bits].length < 2 * (page_size >> bits)) return nullptr;
        u8* page = reinterpret_cast<u8*>(align_down(reinterpret_cast<u64>(p), page_size));
        for (u64 at = 0; at < page_size; at += u64{1} << bits) unlink(bits, reinterpret_cast<FreePiece*>(page + at));
        return page;
    }
    void give(unsigned bits, void* p) XYLEM_REQUIRES(lock_) {
        List& list = lists_[bits];
        list.first = ::new (p) FreePiece{list.first, nullptr};
        if (FreePiece* next = list.first->next) next->previous = list.first;
        ++list.length;
    }
    void unlink(unsigned bits, FreePiece* p) XYLEM_REQUIRES(lock_) {
        (p->previous != nullptr ? p->previous->next : lists_[bits].first) = p->next;
        if (p->next != nullptr) p->next->previous = p->previous;
        --lists_[bits].length;
    }

    struct List {
        FreePiece* first = nullptr;
        u64 length = 0;
    };

    Spinlock lock_;
    std::array<List, largest_bits + 1> lists_ XYLEM_GUARDED_BY(lock_){};
    std::atomic<u64> used_{0};
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
