// SPDX-License-Identifier: MIT
// How system time follows the platform timer: pure, tested on the host.
#pragma once

#include "arch/x86/time/scale.hpp"
#include "base/types.hpp"

namespace xylem::time {

// At TSC `tsc` the system time was `system`; from there it goes on by `scale`. What guests get in vcpu_time_info.
struct Stamp {
    u64 tsc = 0;
    Nanos system = 0;
    Scale scale;

    // A TSC slightly before the stamp (read on another CPU while the stamp changed) is the stamp's own time, not the far future.
    constexpr Nanos at(u64 now_tsc) const {
        const i64 passed = static_cast<i64>(now_tsc - tsc);
        return passed <= 0 ? system : system + static_cast<Nanos>(scale.apply(static_cast<u64>(passed)));
    }
};

// The TSC's and the platform timer's reading of the same instant; the timer's wraps counted.
struct Pair {
    u64 tsc = 0;
    u64 ticks = 0;
};

// Finds the instant of one tick more finely than the platform timer ticks: every reading says that the timer stood at `count`
// at some moment between two TSC values; together they leave a short interval.
class TickEdge {
   public:
    // `tsc_per_tick` with 24 fraction bits, good to a thousandth; `first` is the first reading's count.
    constexpr TickEdge(u64 tsc_per_tick, u64 first) : tsc_per_tick_(tsc_per_tick), first_(first) {}

    constexpr void add(u64 before, u64 count, u64 after) {
        const u64 latest = after - tsc_of(count - first_);
        const u64 earliest = before - tsc_of(count + 1 - first_);
        if (!any_ || static_cast<i64>(latest - latest_) < 0) latest_ = latest;
        if (!any_ || static_cast<i64>(earliest - earliest_) > 0) earliest_ = earliest;
        any_ = true;
    }
    // The TSC when the timer came to `first`, and how wide the remaining interval is (less than nothing: readings disagree).
    constexpr Pair result() const { return {earliest_ + static_cast<u64>(width() / 2), first_}; }
    constexpr i64 width() const { return static_cast<i64>(latest_ - earliest_); }

   private:
    constexpr u64 tsc_of(u64 ticks) const { return ticks * tsc_per_tick_ >> 24; }

    u64 tsc_per_tick_;
    u64 first_;
    u64 earliest_ = 0;
    u64 latest_ = 0;
    bool any_ = false;
};

// The stamp from `tsc` on. `old` is the stamp in force, `hertz` the TSC's frequency as best known, `truth` the platform timer's
// idea of the system time at `now`. Time never steps back: what is ahead is slowed, by a tenth at most; what is far behind jumps.
// `horizon` is the time until the next correction.
constexpr Stamp steer(const Stamp& old, u64 tsc, u64 hertz, Nanos truth, Nanos horizon) {
    constexpr Nanos jump_limit = 100'000'000;
    Stamp next{tsc, old.at(tsc), {}};
    Nanos error = truth - next.system;
    if (error > jump_limit) {
        next.system = truth;
        error = 0;
    }
    if (error < -horizon / 10) error = -horizon / 10;
    if (error > horizon / 10) error = horizon / 10;
    // In `horizon` the TSC goes hertz * horizon; the clock shall go horizon + error: as if the TSC were slower by that ratio.
    next.scale = scale_of(mul_div(hertz, static_cast<u64>(horizon), static_cast<u64>(horizon + error)));
    return next;
}

}  // namespace xylem::time
