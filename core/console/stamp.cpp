// SPDX-License-Identifier: MIT
#include "core/console/stamp.hpp"

namespace xylem::console {
namespace {

constexpr i64 nanos_per_second = 1'000'000'000;
constexpr u32 seconds_per_day = 86400;

struct Date {
    u32 year;
    u32 month;
    u32 day;
};

constexpr bool is_leap(u32 year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

// Days since 1970-01-01. Lines are rare enough for a loop over years.
constexpr Date date_of(u64 days) {
    constexpr u8 lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    u32 year = 1970;
    // 400 years are always 146097 days: bounds the loop whatever a broken clock says.
    year += static_cast<u32>(days / 146097 % 20) * 400;
    days %= 146097;
    for (u32 length = 365; days >= (length = is_leap(year) ? 366 : 365); ++year) days -= length;
    u32 month = 0;
    for (u32 length = 31;; ++month) {
        length = lengths[month] + (month == 1 && is_leap(year) ? 1u : 0u);
        if (days < length) break;
        days -= length;
    }
    return {year, month + 1, static_cast<u32>(days) + 1};
}
static_assert(date_of(0).year == 1970 && date_of(19782).month == 2 && date_of(19782).day == 29);

void put_date(text::Sink& out, i64 unix_nanos, bool with_msec) {
    const u64 nanos = unix_nanos < 0 ? 0 : static_cast<u64>(unix_nanos);
    const u64 seconds = nanos / nanos_per_second;
    const Date date = date_of(seconds / seconds_per_day);
    const u64 time = seconds % seconds_per_day;
    text::format(out, "[{}-{:02}-{:02} {:02}:{:02}:{:02}", date.year, date.month, date.day, time / 3600, time / 60 % 60,
                 time % 60);
    if (with_msec) text::format(out, ".{:03}", nanos % nanos_per_second / 1'000'000);
    out.write("] ");
}

}  // namespace

void put_timestamp(text::Sink& out, Timestamps kind, const Clocks& clocks) {
    if (kind == Timestamps::none) return;
    if (kind == Timestamps::raw && clocks.raw != nullptr) return text::format(out, "[{:016x}] ", clocks.raw());
    if ((kind == Timestamps::date || kind == Timestamps::date_and_msec) && clocks.unix_nanos != nullptr)
        return put_date(out, clocks.unix_nanos(), kind == Timestamps::date_and_msec);
    const Nanos now = clocks.since_boot != nullptr ? clocks.since_boot() : 0;
    const u64 micros = static_cast<u64>(now < 0 ? 0 : now) / 1000;
    text::format(out, "[{:5}.{:06}] ", micros / 1'000'000, micros % 1'000'000);
}

}  // namespace xylem::console
