// SPDX-License-Identifier: MIT
// When a frame was last to be reached through translations, in ticks of the flush clock (port::tlb_clock).
//
// The clock counts whole-TLB flushes of all CPUs, by twos from an odd number. Frames have room for its lower half only, which
// comes round after some hours of a busy machine; it is never 0.
#pragma once

#include "base/types.hpp"

namespace xylem {

using TlbTime = u64;

struct TlbStamp {
    u32 low = 0;  // 0: never, nothing to flush

    constexpr TlbStamp() = default;
    constexpr explicit TlbStamp(TlbTime t) : low(static_cast<u32>(t)) {}

    // The latest time before `now` that the stamp can mean: never too early, so that at worst something is flushed for nothing.
    // `now` was read after the stamp.
    constexpr TlbTime at(TlbTime now) const { return low == 0 ? 0 : now - static_cast<u32>(static_cast<u32>(now) - low); }
    static constexpr TlbStamp later(TlbStamp a, TlbStamp b, TlbTime now) { return a.at(now) >= b.at(now) ? a : b; }

    friend constexpr bool operator==(TlbStamp, TlbStamp) = default;
};

}  // namespace xylem
