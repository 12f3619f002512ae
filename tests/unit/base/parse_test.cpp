// SPDX-License-Identifier: MIT
#include "base/text/parse.hpp"

#include <gtest/gtest.h>

using namespace xylem;
using namespace xylem::text;

namespace {

TEST(Parse, Number) {
    EXPECT_EQ(parse_number("0"), 0u);
    EXPECT_EQ(parse_number("18446744073709551615"), ~u64{0});
    EXPECT_EQ(parse_number("0xfFfF"), 0xffffu);
    for (const char* bad : {"", "0x", "1a", "-1", " 1", "18446744073709551616", "0x10000000000000000", "1 "})
        EXPECT_EQ(parse_number(bad), std::nullopt) << bad;
}

TEST(Parse, Size) {
    EXPECT_EQ(parse_size("1"), 1024u);
    EXPECT_EQ(parse_size("1b"), 1u);
    EXPECT_EQ(parse_size("2K"), 2048u);
    EXPECT_EQ(parse_size("512m"), 512 * mib);
    EXPECT_EQ(parse_size("3G"), 3 * gib);
    EXPECT_EQ(parse_size("1T"), 1024 * gib);
    EXPECT_EQ(parse_size("0x10M"), 16 * mib);
    EXPECT_EQ(parse_size("0x1b"), 0x1bu * 1024);
    for (const char* bad : {"", "M", "1X", "1MM", "18446744073709551615K", "16777216T"})
        EXPECT_EQ(parse_size(bad), std::nullopt) << bad;
}

TEST(Parse, Switch) {
    for (const char* yes : {"on", "yes", "true", "enable", "1"}) EXPECT_EQ(parse_switch(yes), true);
    for (const char* no : {"off", "no", "false", "disable", "0"}) EXPECT_EQ(parse_switch(no), false);
    EXPECT_EQ(parse_switch(""), std::nullopt);
    EXPECT_EQ(parse_switch("2"), std::nullopt);
}

TEST(Parse, WordsAndParts) {
    std::string_view rest = "  a\tbc \n";
    EXPECT_EQ(take_word(rest), "a");
    EXPECT_EQ(take_word(rest), "bc");
    EXPECT_EQ(take_word(rest), "");
    EXPECT_EQ(take_word(rest), "");
    rest = "x,,y";
    EXPECT_EQ(take_part(rest, ','), "x");
    EXPECT_EQ(take_part(rest, ','), "");
    EXPECT_EQ(take_part(rest, ','), "y");
    EXPECT_EQ(take_part(rest, ','), "");
}

}  // namespace
