// SPDX-License-Identifier: MIT
// The battery-backed clock's registers to seconds since 1970 [MC146818A datasheet]: pure, tested on the host.
#pragma once

#include <optional>

#include "base/types.hpp"

namespace xylem::time {

struct RtcRegisters {
    u8 second = 0;
    u8 minute = 0;
    u8 hour = 0;
    u8 day = 0;
    u8 month = 0;
    u8 year = 0;
    u8 century = 0;  // 0 where there is no such register
    u8 status_b = 0;
    constexpr bool operator==(const RtcRegisters&) const = default;
};

inline constexpr u8 rtc_b_24_hours = 1U << 1;
inline constexpr u8 rtc_b_binary = 1U << 2;
inline constexpr u8 rtc_pm = 1U << 7;

// Days from 1970-01-01 to a date of the Gregorian calendar.
constexpr u64 days_since_1970(u64 year, unsigned month, unsigned day) {
    // Years that begin in March, so that the leap day is a year's last.
    const u64 shifted_year = month <= 2 ? year - 1 : year;
    const unsigned shifted_month = month <= 2 ? month + 9 : month - 3;
    const u64 day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    constexpr u64 days_to_1970 = 719'468;
    return shifted_year * 365 + shifted_year / 4 - shifted_year / 100 + shifted_year / 400 + day_of_year - days_to_1970;
}

// Nothing where the registers hold no date (empty battery).
constexpr std::optional<u64> decode_rtc(RtcRegisters r) {
    const bool pm = (r.hour & rtc_pm) != 0;
    const bool twelve = (r.status_b & rtc_b_24_hours) == 0;
    if (twelve) r.hour &= static_cast<u8>(~rtc_pm);
    if ((r.status_b & rtc_b_binary) == 0) {
        for (u8* value : {&r.second, &r.minute, &r.hour, &r.day, &r.month, &r.year, &r.century}) {
            if ((*value & 0xf) > 9 || *value >> 4 > 9) return std::nullopt;
            *value = static_cast<u8>((*value >> 4) * 10 + (*value & 0xf));
        }
    }
    if (twelve) {
        if (r.hour < 1 || r.hour > 12) return std::nullopt;
        r.hour = static_cast<u8>(r.hour % 12 + (pm ? 12 : 0));
    }
    // A century register that holds nonsense (some firmware names a wrong one) is as good as none.
    const bool century_known = r.century >= 19 && r.century <= 29;
    const u64 year = (century_known ? r.century * 100U : r.year >= 70 ? 1900U : 2000U) + r.year;
    if (r.second > 60 || r.minute > 59 || r.hour > 23 || r.month < 1 || r.month > 12 || r.day < 1 || r.day > 31 || r.year > 99 ||
        year < 1970)
        return std::nullopt;
    return ((days_since_1970(year, r.month, r.day) * 24 + r.hour) * 60 + r.minute) * 60 + r.second;
}

}  // namespace xylem::time
