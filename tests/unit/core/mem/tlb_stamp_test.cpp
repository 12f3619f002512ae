// SPDX-License-Identifier: MIT
// Stamps of the flush clock, when its lower half has come round.
#include "core/mem/tlb_stamp.hpp"

#include <gtest/gtest.h>

#include "arch/host/memory.hpp"
#include "core/mem/frames.hpp"
#include "core/port/machine.hpp"

namespace xylem {
namespace {

TEST(TlbStamp, means_the_latest_time_that_fits) {
    const TlbTime now = (u64{5} << 32) + 101;
    EXPECT_EQ(TlbStamp(now).at(now), now);
    EXPECT_EQ(TlbStamp(now - 100).at(now), now - 100);
    EXPECT_EQ(TlbStamp(now - 200).at(now), now - 200);                        // before the turn
    EXPECT_EQ(TlbStamp(now - (u64{3} << 31)).at(now), now - (u64{1} << 31));  // too old to tell: too late, never too early
    EXPECT_EQ(TlbStamp{}.at(now), 0u);
}

TEST(TlbStamp, the_later_of_two) {
    const TlbTime now = (u64{1} << 32) + 51;
    const TlbStamp before(now - 100), after(now - 2), half_a_turn_ago(now - (u64{1} << 31) - 100), never{};
    EXPECT_EQ(TlbStamp::later(before, after, now), after);
    EXPECT_EQ(TlbStamp::later(after, before, now), after);
    EXPECT_EQ(TlbStamp::later(half_a_turn_ago, before, now), before);
    EXPECT_EQ(TlbStamp::later(never, half_a_turn_ago, now), half_a_turn_ago);
    EXPECT_EQ(TlbStamp::later(before, never, now), before);
}

}  // namespace
}  // namespace xylem
