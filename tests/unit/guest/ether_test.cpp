// SPDX-License-Identifier: MIT
#include "guest/lib/ether.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace xylem::ether {
namespace {

const Host me{{2, 0, 0, 0, 0, 1}, {10, 0, 0, 1}}, other{{2, 0, 0, 0, 0, 2}, {10, 0, 0, 2}};

TEST(Ether, AnArpRequestForUsIsAnswered) {
    std::vector<u8> f(max_frame), a(max_frame);
    f.resize(make_arp_request(f, other, me.ip));
    EXPECT_EQ(classify(f, me), Kind::arp_request_for_us);
    EXPECT_EQ(classify(f, other), Kind::other);
    a.resize(make_answer(f, me, a));
    EXPECT_EQ(classify(a, other), Kind::arp_reply_to_us);
    EXPECT_EQ(std::vector<u8>(a.begin(), a.begin() + 6), std::vector<u8>(other.mac.begin(), other.mac.end()));
}

TEST(Ether, APingForUsIsAnsweredWithItsData) {
    std::vector<u8> f(max_frame), a(max_frame);
    f.resize(make_ping(f, other, me, 7, 9));
    EXPECT_EQ(classify(f, me), Kind::ping_for_us);
    a.resize(make_answer(f, me, a));
    EXPECT_EQ(classify(a, other), Kind::pong_to_us);
    EXPECT_EQ(big(a, 38), 7);
    EXPECT_EQ(big(a, 40), 9);
    EXPECT_EQ(a[42 + 5], 5);
    EXPECT_EQ(checksum(std::span<const u8>(a).subspan(14, 20)), 0);
}

TEST(Ether, LyingLengthsAndBadSumsAreNothing) {
    std::vector<u8> f(max_frame), a(max_frame);
    f.resize(make_ping(f, other, me, 7, 9));
    for (const u16 total : {u16{0}, u16{20}, u16{27}, u16{200}, u16{0xffff}}) {
        auto bad = f;
        put_big(bad, 16, total);
        EXPECT_EQ(classify(bad, me), Kind::other);
        EXPECT_EQ(make_answer(bad, me, a), 0u);
    }
    auto changed = f;
    changed[50] ^= 1;
    EXPECT_EQ(classify(changed, me), Kind::other);
    for (usize n = 0; n < f.size(); ++n) {
        const std::vector<u8> cut(f.begin(), f.begin() + static_cast<std::ptrdiff_t>(n));
        EXPECT_EQ(make_answer(cut, me, a), 0u);
    }
}

TEST(Ether, AnAnswerThatDoesNotFitIsNone) {
    std::vector<u8> f(max_frame), small(50);
    f.resize(make_ping(f, other, me, 7, 9));
    EXPECT_EQ(make_answer(f, me, small), 0u);
}

TEST(Ether, TheSumOfAnOddLength) {
    const u8 bytes[] = {0x12, 0x34, 0x56};
    EXPECT_EQ(checksum(bytes), static_cast<u16>(~(0x1234 + 0x5600)));
}

}  // namespace
}  // namespace xylem::ether
