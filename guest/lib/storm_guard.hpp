// SPDX-License-Identifier: MIT
// Tells an interrupt that is due too often from one that is only busy.
#pragma once

#include "base/types.hpp"

namespace xylem {

class StormGuard {
   public:
    // One more came at `now`. True: it is more than `limit` within one second.
    bool is_storm(Nanos now, u32 limit) {
        if (count_ == 0 || now - since_ > second) {
            since_ = now;
            count_ = 0;
        }
        return ++count_ > limit;
    }

   private:
    static constexpr Nanos second = 1'000'000'000;
    Nanos since_ = 0;
    u32 count_ = 0;
};

}  // namespace xylem
