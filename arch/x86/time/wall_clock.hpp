// SPDX-License-Identifier: MIT
#pragma once

#include "base/types.hpp"

namespace xylem {

struct Domain;

// dom0 says what time it was at `system_time`; all domains' shared pages follow.
void set_wall_clock(u64 seconds, u32 nanoseconds, Nanos system_time);
// The wall clock's reading at system time 0, nanoseconds since 1970.
u64 wall_clock_base();
// Writes the wall clock into one domain's shared page.
void publish_wall_clock(Domain& d);

}  // namespace xylem
