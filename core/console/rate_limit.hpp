// SPDX-License-Identifier: MIT
// A budget of messages: ten at once, then two a second. Keeps a guest from flooding the log. No lock of its own.
#pragma once

#include "base/types.hpp"

namespace xylem::console {

class RateLimit {
   public:
    static constexpr u32 burst = 10;
    static constexpr Nanos refill = 500'000'000;  // one more message, nanoseconds

    constexpr RateLimit() = default;

    // May one more message pass at time `now`? If not it is counted.
    bool allow(Nanos now) {
        const Nanos since = now - refilled_;
        if (since >= refill) {
            const i64 gained = since / refill;
            left_ = gained >= burst - left_ ? burst : left_ + static_cast<u32>(gained);
            refilled_ = left_ == burst ? now : refilled_ + gained * refill;
        }
        if (left_ == 0) {
            if (suppressed_ != ~u32{0}) ++suppressed_;
            return false;
        }
        --left_;
        return true;
    }

    // Messages refused since the last call.
    u32 take_suppressed() {
        const u32 count = suppressed_;
        suppressed_ = 0;
        return count;
    }

   private:
    Nanos refilled_ = 0;
    u32 left_ = burst;
    u32 suppressed_ = 0;
};

}  // namespace xylem::console
