// SPDX-License-Identifier: MIT
#include "base/text/format.hpp"

#include <gtest/gtest.h>

#include <string>

using namespace xylem;

namespace {

template <class... Args>
std::string text_of(text::FormatString<std::type_identity_t<Args>...> f, const Args&... args) {
    text::FixedText<256> out;
    text::format<Args...>(out, f, args...);
    return std::string(out.view());
}

std::string raw(std::string_view f, std::span<const text::Arg> args = {}) {
    text::FixedText<256> out;
    text::vformat(out, f, args);
    return std::string(out.view());
}

TEST(Format, NumbersAndText) {
    EXPECT_EQ(text_of("{} {} {}", 1, -2, u64{18446744073709551615u}), "1 -2 18446744073709551615");
    EXPECT_EQ(text_of("{}", INT64_MIN), "-9223372036854775808");
    EXPECT_EQ(text_of("{} {} {}", "abc", std::string_view("de"), 'f'), "abc de f");
    EXPECT_EQ(text_of("{} {}", true, false), "yes no");
    EXPECT_EQ(text_of("{} {}", Mfn(7), u8{65}), "7 65");
    EXPECT_EQ(text_of("{{{}}}", 5), "{5}");
    EXPECT_EQ(text_of(""), "");
}

TEST(Format, Hex) {
    EXPECT_EQ(text_of("{:x} {:#x}", 255, 255u), "ff 0xff");
    EXPECT_EQ(text_of("{:08x} {:#08x}", 0xabcu, 0xabcu), "00000abc 0x00000abc");
    EXPECT_EQ(text_of("{:x}", -1), "ffffffff") << "as wide as the type";
    EXPECT_EQ(text_of("{:x} {:x}", i8{-1}, i64{-1}), "ff ffffffffffffffff");
    EXPECT_EQ(text_of("{}", reinterpret_cast<const int*>(0x1000)), "0x1000");
}

TEST(Format, Padding) {
    EXPECT_EQ(text_of("[{:>5}|{:<5}|{:5}]", 42, 42, "ab"), "[   42|42   |   ab]");
    EXPECT_EQ(text_of("[{:05}|{:05}]", 42, -42), "[00042|-0042]");
    EXPECT_EQ(text_of("[{:<05}]", 42), "[42   ]") << "left wins over zeros";
    EXPECT_EQ(text_of("[{:40}]", ""), "[" + std::string(40, ' ') + "]");
    EXPECT_EQ(text_of("{:2}", 12345), "12345");
}

TEST(Format, NullTextIsNotRead) {
    const char* null = nullptr;
    EXPECT_EQ(text_of("{}", null), "(null)");
}

TEST(Format, BrokenFormatsEnd) {
    EXPECT_EQ(raw("a{b"), "a{b");
    EXPECT_EQ(raw("a}b"), "a}b");
    EXPECT_EQ(raw("{"), "{");
    EXPECT_EQ(raw("}"), "}");
    EXPECT_EQ(raw("x{}y"), "xy") << "missing argument";
}

TEST(Format, FixedTextCuts) {
    text::FixedText<4> out;
    out.write("abc");
    EXPECT_FALSE(out.truncated());
    out.write("def");
    EXPECT_EQ(out.view(), "abcd");
    EXPECT_TRUE(out.truncated());
    out.clear();
    EXPECT_EQ(out.view(), "");
    EXPECT_FALSE(out.truncated());
}

}  // namespace
