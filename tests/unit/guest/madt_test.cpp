// SPDX-License-Identifier: MIT
#include "guest/lib/madt.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace xylem::acpi {
namespace {

std::vector<u8> madt(const std::vector<std::vector<u8>>& entries) {
    std::vector<u8> t(sizeof(Madt), 0);
    for (const auto& e : entries) t.insert(t.end(), e.begin(), e.end());
    return t;
}
const std::vector<u8> cpu{0, 8, 0, 0, 1, 0, 0, 0}, absent_cpu{0, 8, 1, 1, 0, 0, 0, 0};
const std::vector<u8> chip{1, 12, 3, 0, 0, 0, 0xc0, 0xfe, 24, 0, 0, 0};
const std::vector<u8> timer{2, 10, 0, 0, 2, 0, 0, 0, 0, 0}, sci{2, 10, 0, 9, 9, 0, 0, 0, 0xf, 0};

TEST(Madt, ChipsProcessorsAndOverridesAreFound) {
    Platform p;
    parse_madt(madt({cpu, absent_cpu, chip, timer, sci}), p);
    EXPECT_EQ(p.cpu_count, 1u);
    ASSERT_EQ(p.io_apic_count, 1u);
    EXPECT_EQ(p.io_apics[0].address, 0xfec00000u);
    EXPECT_EQ(p.io_apics[0].first_gsi, 24u);
    EXPECT_EQ(p.line(0).gsi, 2u);
    EXPECT_FALSE(p.line(0).level);
    EXPECT_TRUE(p.line(9).level);
    EXPECT_TRUE(p.line(9).low);
    EXPECT_EQ(p.line(4).gsi, 4u);
}

TEST(Madt, AChipHasItsRangeOfInterrupts) {
    Platform p;
    parse_madt(madt({chip}), p);
    p.io_apics[0].pins = 24;
    EXPECT_EQ(p.io_apic_of(23), nullptr);
    EXPECT_NE(p.io_apic_of(24), nullptr);
    EXPECT_EQ(p.io_apic_of(48), nullptr);
}

TEST(Madt, WhatIsCutOffOrEmptyEndsTheReading) {
    for (const auto& bad : {std::vector<u8>{1, 0}, {1, 12, 0}, {1}, {9, 1}, {}}) {
        Platform p;
        parse_madt(madt({cpu, bad, chip}), p);
        EXPECT_EQ(p.cpu_count, 1u);
    }
    Platform p;
    parse_madt(std::span<const u8>{}, p);
    EXPECT_EQ(p.io_apic_count, 0u);
}

TEST(Madt, ShortEntriesOfAKnownKindAreSkipped) {
    Platform p;
    parse_madt(madt({{1, 4, 0, 0}, {2, 3, 0}, chip}), p);
    EXPECT_EQ(p.io_apic_count, 1u);
    EXPECT_EQ(p.override_count, 0u);
}

TEST(Madt, MoreThanThereIsRoomForIsLeftOut) {
    Platform p;
    parse_madt(madt(std::vector<std::vector<u8>>(40, chip)), p);
    EXPECT_EQ(p.io_apic_count, Platform::max_io_apics);
}

}  // namespace
}  // namespace xylem::acpi
