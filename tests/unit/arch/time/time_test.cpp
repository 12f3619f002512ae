// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "arch/x86/time/rtc_decode.hpp"
#include "arch/x86/time/scale.hpp"
#include "arch/x86/time/steering.hpp"

namespace xylem::time {
namespace {

TEST(TimeScale, MulDiv) {
    EXPECT_EQ(mul_div(7, 9, 5), 12u);
    EXPECT_EQ(mul_div(~u64{0}, ~u64{0}, ~u64{0}), ~u64{0});
    EXPECT_EQ(mul_div(~u64{0}, 1'000'000'007, 1'000'000'007), ~u64{0});
    EXPECT_EQ(mul_div(0x1234'5678'9abc'def0, u64{1} << 32, 0xffff'ffff'0000'0001),
              static_cast<u64>((static_cast<unsigned __int128>(0x1234'5678'9abc'def0) << 32) / 0xffff'ffff'0000'0001));
}

TEST(TimeScale, ExactForEveryFrequency) {
    for (const u64 hertz :
         {u64{1'000'000}, u64{3'579'545}, u64{14'318'180}, u64{999'999'999}, u64{1'000'000'000}, u64{1'000'000'001},
          u64{1'999'999'999}, u64{2'000'000'000}, u64{2'712'345'678}, u64{4'000'000'000}, u64{5'900'000'000}}) {
        const Scale scale = scale_of(hertz);
        EXPECT_GE(scale.mul, 1U << 31) << hertz;
        const i64 second = static_cast<i64>(scale.apply(hertz * 1000));
        EXPECT_NEAR(static_cast<double>(second), 1e12, 1e3) << hertz << ": within a billionth";
        EXPECT_NEAR(static_cast<double>(hertz_of(scale)), static_cast<double>(hertz), static_cast<double>(hertz) * 1e-9 + 4)
            << hertz;
    }
}

TEST(TimeScale, OneGigahertzIsTheIdentity) {
    const Scale scale = scale_of(1'000'000'000);
    EXPECT_EQ(scale, (Scale{1U << 31, 1}));
    EXPECT_EQ(scale.apply(123'456'789), 123'456'789u);
}

TEST(TimeScale, ThereAndBack) {
    for (const u64 hertz : {u64{1'193'182}, u64{62'500'000}, u64{1'000'000'000}, u64{2'712'345'678}}) {
        for (const u64 nanos : {u64{1}, u64{999}, u64{100'000}, u64{123'456'789}, u64{10'000'000'000}}) {
            const u64 back = scale_of(hertz).apply(inverse_scale_of(hertz).apply(nanos));
            EXPECT_LE(back, nanos);
            EXPECT_GE(back + 2 * (1'000'000'000 / hertz + 1) + nanos / 1'000'000'000 + 1, nanos);
        }
    }
}

TEST(TimeScale, Rates) {
    constexpr TickRate hpet{1'000'000'000'000'000, 69'841'279};  // 14.318 MHz
    EXPECT_EQ(hpet.to_nanos(14'318'180), 1'000'000'069u);
    EXPECT_EQ((TickRate{3'579'545, 1}.to_nanos(3'579'545 * u64{86'400})), 86'400'000'000'000u);
    EXPECT_EQ(frequency(50'000'000, 178'977, {3'579'545, 1}), 1'000'001'400u) << "PM timer, 50 ms";
    EXPECT_EQ(frequency(1, 0, hpet), 0u);
}

TEST(TimeScale, WrapsAreCounted) {
    EXPECT_EQ(unwrapped(10, 20, 24, 10), 10u);
    EXPECT_EQ(unwrapped(0xff'fff0, 0x10, 24, 0x20), 0x20u);
    EXPECT_EQ(unwrapped(0, 0x10, 24, 0x100'0000), 0x100'0010u);
    EXPECT_EQ(unwrapped(0, 0x10, 24, 0x300'0000 + 0x7f'0000), 0x300'0010u);
    EXPECT_EQ(unwrapped(0, 0xff'fff0, 24, 0x300'0000), 0x2ff'fff0u);
    EXPECT_EQ(unwrapped(0, 0xff'fff0, 24, 0), 0xff'fff0u) << "never backwards";
    EXPECT_EQ(unwrapped(5, 3, 64, 0), ~u64{1});
    EXPECT_EQ(unwrapped(0xfff0, 0, 16, 1'193'182), 0x10u + (u64{18} << 16));
}

TEST(TimeStamp, BeforeTheStampIsTheStamp) {
    const Stamp stamp{1000, 500, scale_of(1'000'000'000)};
    EXPECT_EQ(stamp.at(999), 500);
    EXPECT_EQ(stamp.at(1000), 500);
    EXPECT_EQ(stamp.at(1100), 600);
}

TEST(TimeTickEdge, FinerThanATick) {
    // A timer of 1 MHz beside a TSC of 3 GHz; tick 1000 began at TSC 5'000'000; readings every 700 TSC ticks that take 100.
    TickEdge edge(u64{3000} << 24, 1000);
    for (u64 before = 5'001'000; before < 5'020'000; before += 700) {
        const u64 sampled = before + 50;
        edge.add(before, 1000 + (sampled - 5'000'000) / 3000, before + 100);
    }
    EXPECT_NEAR(static_cast<double>(edge.result().tsc), 5'000'000, 200);
    EXPECT_EQ(edge.result().ticks, 1000u);
    EXPECT_GE(edge.width(), 0);
    EXPECT_LT(edge.width(), 500);
}

TEST(TimeSteering, ConvergesWithoutStepsBack) {
    // A first frequency 200 ppm off; corrected once a second with the right one.
    constexpr u64 true_hertz = 2'400'000'000;
    Stamp stamp{0, 0, scale_of(true_hertz + true_hertz / 5000)};
    u64 tsc = 0;
    Nanos last = 0;
    for (int second = 1; second <= 5; ++second) {
        tsc += true_hertz;
        stamp = steer(stamp, tsc, true_hertz, second * Nanos{1'000'000'000}, 1'000'000'000);
        EXPECT_GE(stamp.system, last);
        last = stamp.system;
    }
    EXPECT_NEAR(static_cast<double>(stamp.system), 5e9, 10);
    EXPECT_NEAR(static_cast<double>(hertz_of(stamp.scale)), static_cast<double>(true_hertz), 10);
}

TEST(TimeSteering, FarBehindJumpsFarAheadCrawls) {
    const Stamp stamp{0, 0, scale_of(1'000'000'000)};
    EXPECT_EQ(steer(stamp, 1'000'000'000, 1'000'000'000, 3'000'000'000, 1'000'000'000).system, 3'000'000'000);
    const Stamp slowed = steer(stamp, 5'000'000'000, 1'000'000'000, 1'000'000'000, 1'000'000'000);
    EXPECT_EQ(slowed.system, 5'000'000'000);
    EXPECT_NEAR(static_cast<double>(slowed.at(6'000'000'000)), 5.9e9, 10);
}

RtcRegisters rtc(u8 century, u8 year, u8 month, u8 day, u8 hour, u8 minute, u8 second, u8 status_b) {
    return {second, minute, hour, day, month, year, century, status_b};
}

TEST(Rtc, BcdAndBinary) {
    EXPECT_EQ(decode_rtc(rtc(0x20, 0x26, 0x11, 0x20, 0x13, 0x14, 0x15, rtc_b_24_hours)), 1'795'180'455u);
    EXPECT_EQ(decode_rtc(rtc(20, 26, 11, 20, 13, 14, 15, rtc_b_24_hours | rtc_b_binary)), 1'795'180'455u);
    EXPECT_EQ(decode_rtc(rtc(0, 0x70, 1, 1, 0, 0, 0, rtc_b_24_hours)), 0u);
    EXPECT_EQ(decode_rtc(rtc(0, 0x00, 2, 0x29, 0, 0, 0, rtc_b_24_hours)), 951'782'400u);
    EXPECT_EQ(decode_rtc(rtc(0xff & 0x99, 0x00, 2, 0x29, 0, 0, 0, rtc_b_24_hours)), 951'782'400u) << "a century that cannot be";
}

TEST(Rtc, TwelveHours) {
    const auto hour = [](u8 raw) { return *decode_rtc(rtc(0x20, 0, 1, 1, raw, 0, 0, 0)) / 3600 % 24; };
    EXPECT_EQ(hour(0x12), 0u);
    EXPECT_EQ(hour(0x01), 1u);
    EXPECT_EQ(hour(0x12 | rtc_pm), 12u);
    EXPECT_EQ(hour(0x11 | rtc_pm), 23u);
    EXPECT_FALSE(decode_rtc(rtc(0x20, 0, 1, 1, 0x13, 0, 0, 0)));
}

TEST(Rtc, NoDate) {
    EXPECT_FALSE(decode_rtc(rtc(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)));
    EXPECT_FALSE(decode_rtc(rtc(0, 0, 0, 0, 0, 0, 0, rtc_b_24_hours)));
    EXPECT_FALSE(decode_rtc(rtc(0x20, 0x1a, 1, 1, 0, 0, 0, rtc_b_24_hours))) << "no BCD";
}

}  // namespace
}  // namespace xylem::time
