// SPDX-License-Identifier: MIT
// Time since the hypervisor's start, and waiting for a moment of it.
#pragma once

#include "base/types.hpp"

namespace xylem::time {

Nanos now();
// Binds the timer's VIRQ of this vCPU and stops the periodic timer every vCPU starts with.
void start();
void sleep_until(Nanos moment);
inline void sleep(Nanos duration) {
    sleep_until(now() + duration);
}

}  // namespace xylem::time
