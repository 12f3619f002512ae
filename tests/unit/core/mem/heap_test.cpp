// SPDX-License-Identifier: MIT
#include "core/mem/heap.hpp"

#include <gtest/gtest.h>

#include <algorithm>

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

}  // namespace
}  // namespace xylem::test
