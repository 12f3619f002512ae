// SPDX-License-Identifier: MIT
#include "core/console/ring.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

using namespace xylem;
using xylem::console::ConsoleRing;

namespace {

std::string read_all(const ConsoleRing& ring, u32& index, usize step = 3) {
    std::string text;
    std::array<char, 64> chunk;
    for (usize n = 0; (n = ring.read(index, std::span(chunk).first(step))) > 0;) text.append(chunk.data(), n);
    return text;
}

std::string whole(const ConsoleRing& ring) {
    u32 index = ring.first_index(false, 0);
    return read_all(ring, index);
}

TEST(ConsoleRing, NoMemoryHoldsNothing) {
    ConsoleRing ring;
    ring.write("lost");
    EXPECT_EQ(whole(ring), "");
}

TEST(ConsoleRing, OldTextGivesWay) {
    std::array<char, 8> memory;
    ConsoleRing ring;
    ASSERT_TRUE(ring.move_to(memory));
    ring.write("abcdef");
    EXPECT_EQ(whole(ring), "abcdef");
    ring.write("ghij");
    EXPECT_EQ(whole(ring), "cdefghij");
    ring.write("0123456789ABC");
    EXPECT_EQ(whole(ring), "56789ABC");
}

TEST(ConsoleRing, IncrementalReadSeesOnlyNewText) {
    std::array<char, 8> memory;
    ConsoleRing ring;
    ASSERT_TRUE(ring.move_to(memory));
    ring.write("abc");
    u32 index = ring.first_index(true, 0);
    EXPECT_EQ(read_all(ring, index), "abc");
    ring.write("de");
    index = ring.first_index(true, index);
    EXPECT_EQ(read_all(ring, index), "de");
    ring.write("0123456789");
    index = ring.first_index(true, index);
    EXPECT_EQ(read_all(ring, index), "23456789") << "what was lost is skipped";
    index = ring.first_index(true, 0xdeadbeef);
    EXPECT_EQ(read_all(ring, index), "23456789") << "an invented index starts at the oldest text";
}

TEST(ConsoleRing, ClearForgetsWhatWasRead) {
    std::array<char, 16> memory;
    ConsoleRing ring;
    ASSERT_TRUE(ring.move_to(memory));
    ring.write("abc");
    u32 index = ring.first_index(false, 0);
    read_all(ring, index);
    ring.write("de");
    ring.clear_to(index);
    EXPECT_EQ(whole(ring), "de");
}

TEST(ConsoleRing, MoveKeepsTextAndIndexes) {
    std::array<char, 4> small;
    std::array<char, 16> large;
    std::array<char, 12> odd;
    ConsoleRing ring;
    ASSERT_TRUE(ring.move_to(small));
    ring.write("abcdef");
    u32 index = ring.first_index(false, 0);
    EXPECT_EQ(index, 2u);
    EXPECT_FALSE(ring.move_to(odd));
    EXPECT_FALSE(ring.move_to({}));
    ASSERT_TRUE(ring.move_to(large));
    ring.write("gh");
    EXPECT_EQ(read_all(ring, index), "cdefgh");
    EXPECT_EQ(index, 8u);
    std::array<char, 2> tiny;
    ASSERT_TRUE(ring.move_to(tiny));
    EXPECT_EQ(whole(ring), "gh");
}

TEST(ConsoleRing, IndexesWrapAtTwoToThe32) {
    std::string memory(u64{1} << 20, 0);
    const std::string block(u64{1} << 20, 'x');
    ConsoleRing ring;
    ASSERT_TRUE(ring.move_to(memory));
    for (unsigned i = 0; i < 4096; ++i) ring.write(block);
    u32 index = ring.first_index(false, 0);
    EXPECT_EQ(index, 0u - (u32{1} << 20));
    ring.write("end");
    index = ring.first_index(true, index);
    u32 tail = 0;
    EXPECT_EQ(read_all(ring, tail), "end");
}

}  // namespace
