// SPDX-License-Identifier: MIT
// Ranges of numbers against a plain set of them.
#include "core/domain/range_set.hpp"

#include <gtest/gtest.h>

#include <bitset>
#include <random>

namespace {

using namespace xylem;

TEST(RangeSet, agrees_with_a_plain_set) {
    std::mt19937 random(7);
    RangeSet<u32, 40> set;
    std::bitset<64> plain;
    for (int turn = 0; turn < 20'000; ++turn) {
        const u32 first = random() % 64;
        const u32 last = std::min<u32>(63, first + random() % 9);
        const bool add = random() % 2 != 0;
        ASSERT_TRUE(add ? set.add(first, last) : set.remove(first, last));
        for (u32 i = first; i <= last; ++i) plain[i] = add;
        usize ranges = 0;
        for (u32 i = 0; i < 64; ++i) {
            ASSERT_EQ(set.contains(i, i), plain[i]) << i;
            ranges += plain[i] && (i == 0 || !plain[i - 1]) ? 1 : 0;
        }
        ASSERT_EQ(set.size(), ranges);  // what touches is one range
        bool all = true;
        for (u32 i = first; i <= last; ++i) all = all && plain[i];
        ASSERT_EQ(set.contains(first, last), all);
    }
}

TEST(RangeSet, reaches_both_ends_and_says_when_it_is_full) {
    RangeSet<u64, 2> set;
    ASSERT_TRUE(set.add(0, ~u64{0}));
    ASSERT_TRUE(set.contains(~u64{0}, ~u64{0}));
    ASSERT_TRUE(set.remove(10, 19));
    EXPECT_EQ(set.remove(5, 6).error(), XEN_ENOMEM);
    EXPECT_TRUE(set.contains(0, 9));
    EXPECT_FALSE(set.contains(9, 10));
    EXPECT_EQ(set.add(12, 13).error(), XEN_ENOMEM);
    ASSERT_TRUE(set.add(10, 19));
    EXPECT_TRUE(set.contains(0, ~u64{0}));
    ASSERT_TRUE(set.remove(0, ~u64{0}));
    EXPECT_TRUE(set.empty());
}

}  // namespace
