// SPDX-License-Identifier: MIT
#include "core/mem/heap.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>
#include <vector>

#include "core/mem/frames.hpp"
#include "tests/unit/core/grant/world.hpp"

namespace xylem::test {
namespace {

struct HeapTest : testing::Test {
    World w;
};

TEST_F(HeapTest, whole_frames_cost_what_was_asked_for) {
    for (const u64 count : {1u, 2u, 3u, 5u, 6u, 7u, 11u, 16u}) {
        const u64 before = frames().free_frames();
        auto* p = static_cast<u8*>(heap_allocate(count * page_size - 100));
        ASSERT_NE(p, nullptr);
        EXPECT_EQ(before - frames().free_frames(), count);
        EXPECT_TRUE(std::all_of(p, p + count * page_size, [](u8 b) { return b == 0; }));
        std::fill_n(p, count * page_size - 100, u8{0xaa});
        auto* other = static_cast<u8*>(heap_allocate(3 * page_size));
        EXPECT_TRUE(other >= p + count * page_size || other + 3 * page_size <= p);
        heap_release(p, count * page_size - 100);
        heap_release(other, 3 * page_size);
        EXPECT_EQ(frames().free_frames(), before);
    }
}

TEST_F(HeapTest, given_back_in_pieces_memory_joins_again) {
    const u64 before = frames().free_frames();
    const Result<Mfn> block = frames().allocate(4);
    ASSERT_TRUE(block);
    frames().release_run(Mfn(block->raw + 5), 11);
    EXPECT_EQ(before - frames().free_frames(), 5u);
    frames().release_run(*block, 5);
    EXPECT_EQ(frames().free_frames(), before);
    const Result<Mfn> again = frames().allocate(4);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->raw % 16, 0u);
    frames().release(*again, 4);
}

TEST_F(HeapTest, small_ones_come_clean) {
    auto* p = static_cast<u8*>(heap_allocate(100));
    std::fill_n(p, 100, u8{0xaa});
    heap_release(p, 100);
    auto* q = static_cast<u8*>(heap_allocate(128));
    EXPECT_TRUE(std::all_of(q, q + 128, [](u8 b) { return b == 0; }));
    heap_release(q, 128);
}

TEST_F(HeapTest, frames_whose_pieces_are_all_free_go_back) {
    for (const usize size : {20u, 32u, 100u, 1000u, 2048u}) {
        const u64 before = frames().free_frames();
        const u64 used = heap_bytes_used();
        const u64 per_frame = page_size / std::bit_ceil(std::max<u64>(size, 32));
        std::vector<void*> pieces(10 * per_frame);
        for (void*& p : pieces) p = heap_allocate(size);
        EXPECT_GE(before - frames().free_frames(), 9u);
        std::vector<void*> order = pieces;
        std::ranges::shuffle(order, std::mt19937(7));
        for (usize i = 0; i + 1 < order.size(); ++i) heap_release(order[i], size);
        EXPECT_LE(before - frames().free_frames(), 2u);  // the last one's, and one that is kept
        EXPECT_TRUE(
            std::all_of(static_cast<u8*>(order.back()), static_cast<u8*>(order.back()) + size, [](u8 b) { return b == 0; }));
        heap_release(order.back(), size);
        EXPECT_LE(before - frames().free_frames(), 1u);
        EXPECT_EQ(heap_bytes_used(), used);
    }
}

}  // namespace
}  // namespace xylem::test
