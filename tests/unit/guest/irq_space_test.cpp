// SPDX-License-Identifier: MIT
#include "guest/lib/irq_space.hpp"

#include <gtest/gtest.h>

namespace xylem {
namespace {

using Space = IrqSpace<24>;

TEST(IrqSpace, LegacyLinesKeepTheirNumbers) {
    Space s;
    EXPECT_EQ(s.for_gsi(9), 9u);
    EXPECT_EQ(s.for_gsi(0), 0u);
    EXPECT_EQ(s.source(9).kind, Space::Kind::gsi);
}

TEST(IrqSpace, OthersStartBehindTheLegacyLines) {
    Space s;
    EXPECT_EQ(s.for_msi(200), 16u);
    EXPECT_EQ(s.for_gsi(20), 17u);
    EXPECT_EQ(s.for_event(9), 18u);
    EXPECT_EQ(s.source(17).number, 20u);
}

TEST(IrqSpace, ASharedLineIsOneNumberUntilItsLastUser) {
    Space s;
    EXPECT_EQ(s.for_gsi(20), 16u);
    EXPECT_EQ(s.for_gsi(20), 16u);
    EXPECT_FALSE(s.release(16));
    EXPECT_EQ(s.source(16).number, 20u);
    EXPECT_TRUE(s.release(16));
    EXPECT_EQ(s.source(16).kind, Space::Kind::none);
    EXPECT_FALSE(s.release(16));
}

TEST(IrqSpace, AnMsiIsNotSharedAndAFullSpaceSaysSo) {
    Space s;
    for (u32 i = 0; i < 8; ++i) EXPECT_EQ(s.for_msi(100 + i), 16 + i);
    EXPECT_FALSE(s.for_msi(100));
    EXPECT_FALSE(s.for_msi(300));
    EXPECT_FALSE(s.for_gsi(30));
    EXPECT_EQ(s.for_gsi(5), 5u);
    EXPECT_TRUE(s.release(19));
    EXPECT_EQ(s.for_gsi(30), 19u);
    EXPECT_FALSE(s.release(1000));
}

}  // namespace
}  // namespace xylem
