// SPDX-License-Identifier: MIT
#pragma once

#include "base/text/format.hpp"
#include "core/recorder/ring.hpp"

namespace xylem::recorder {

// What only the machine knows: names of numbers ("?" for others).
struct Names {
    const char* (*hypercall)(u64 number);
    const char* (*vector)(u64 vector);
};

// Times are shown as microseconds before `now`; with an unknown rate as ticks.
struct Clock {
    u64 now = 0;
    u64 khz = 0;
};

// One line of text for any two words.
void describe(text::Sink& out, const Event& e, const Names& names, const Clock& clock);

}  // namespace xylem::recorder
