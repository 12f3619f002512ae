// SPDX-License-Identifier: MIT
// A domain's share of the console: the line it is writing and its budget of messages. One per domain, a member of it.
#pragma once

#include "base/sync/spinlock.hpp"
#include "base/text/format.hpp"
#include "core/console/rate_limit.hpp"

namespace xylem::console {

class GuestConsole {
   public:
    static constexpr usize line_limit = 200;  // longer lines are broken

    constexpr explicit GuestConsole(DomId id) : id_(id) {}
    DomId id() const { return id_; }

   private:
    friend class Console;

    Spinlock lock_;  // taken before the console's
    const DomId id_;
    text::FixedText<line_limit> line_ XYLEM_GUARDED_BY(lock_);
    RateLimit budget_ XYLEM_GUARDED_BY(lock_);
};

}  // namespace xylem::console
