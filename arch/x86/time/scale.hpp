// SPDX-License-Identifier: MIT
// Arithmetic of clocks: pure, tested on the host.
#pragma once

#include <bit>

#include "base/types.hpp"

namespace xylem::time {

// a * b / divisor without losing bits in between; the answer must fit 64 bits. A 128-bit division would call a library function
// that the hypervisor does not have; this is slow (some hundred instructions) and for cold paths.
constexpr u64 mul_div(u64 a, u64 b, u64 divisor) {
    const auto product = static_cast<unsigned __int128>(a) * b;
    u64 remainder = static_cast<u64>(product >> 64);
    u64 quotient = 0;
    for (int bit = 63; bit >= 0; --bit) {
        const bool carry = remainder >> 63 != 0;
        remainder = remainder << 1 | (static_cast<u64>(product) >> bit & 1);
        if (carry || remainder >= divisor) {
            remainder -= divisor;
            quotient |= u64{1} << bit;
        }
    }
    return quotient;
}

// Counter ticks to nanoseconds as guests do it [ABI.md 6]: ns = ((ticks << shift, or >> -shift) * mul) >> 32.
struct Scale {
    u32 mul = 0;
    i8 shift = 0;

    constexpr bool operator==(const Scale&) const = default;

    constexpr u64 apply(u64 ticks) const {
        ticks = shift >= 0 ? ticks << shift : ticks >> -shift;
        return static_cast<u64>(static_cast<unsigned __int128>(ticks) * mul >> 32);
    }
};

inline constexpr u64 nanos_per_second = 1'000'000'000;

// The Scale that multiplies by to / from (both 1 Hz .. 1 THz). `mul` has its top bit set: its error is below half a billionth.
constexpr Scale ratio(u64 to, u64 from) {
    // Normalised to to / from = 2^shift * [1/2, 1), of which mul keeps 32 bits.
    int shift = 0;
    while (to >= from) {
        from <<= 1;
        ++shift;
    }
    while (to * 2 < from) {
        to <<= 1;
        --shift;
    }
    return {static_cast<u32>(mul_div(to, u64{1} << 32, from)), static_cast<i8>(shift)};
}

// From ticks of a counter with this frequency to nanoseconds, and back.
constexpr Scale scale_of(u64 hertz) {
    return ratio(nanos_per_second, hertz);
}
constexpr Scale inverse_scale_of(u64 hertz) {
    return ratio(hertz, nanos_per_second);
}

// The frequency that a guest computes from a Scale, rounded; cold.
constexpr u64 hertz_of(Scale scale) {
    const u64 base = mul_div(nanos_per_second, u64{1} << 32, scale.mul);
    return scale.shift >= 0 ? base >> scale.shift : base << -scale.shift;
}

// Ticks per second as a fraction: an HPET tells its tick in femtoseconds.
struct TickRate {
    u64 numerator = 1;
    u64 denominator = 1;

    constexpr u64 to_nanos(u64 ticks) const {
        const u64 seconds_part = mul_div(ticks, denominator, numerator);
        const u64 rest = ticks - mul_div(seconds_part, numerator, denominator);
        return seconds_part * nanos_per_second + mul_div(rest, denominator * nanos_per_second, numerator);
    }
};

// The frequency of a counter that went `counted` while the reference went `ticks`.
constexpr u64 frequency(u64 counted, u64 ticks, TickRate rate) {
    const u64 nanos = rate.to_nanos(ticks);
    return nanos == 0 ? 0 : mul_div(counted, nanos_per_second, nanos);
}

// How far a counter of `bits` bits went since it read `last`, if it went about `expected`: the wraps in between are those that
// come closest. Right while the expectation errs by less than half the counter's range.
constexpr u64 unwrapped(u64 last, u64 now, unsigned bits, u64 expected) {
    if (bits >= 64) return now - last;
    const u64 range = u64{1} << bits;
    const u64 part = (now - last) & (range - 1);
    if (expected + range / 2 < part) return part;
    return part + ((expected + range / 2 - part) >> bits << bits);
}

}  // namespace xylem::time
