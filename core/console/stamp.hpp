// SPDX-License-Identifier: MIT
// The time in front of a console line.
#pragma once

#include "base/text/format.hpp"
#include "core/console/settings.hpp"

namespace xylem::console {

// Prints the stamp and a blank, or nothing for Timestamps::none. Dates without a calendar clock become times since boot.
void put_timestamp(text::Sink& out, Timestamps kind, const Clocks& clocks);

}  // namespace xylem::console
