// SPDX-License-Identifier: MIT
// Device memory that no guest may map: the hypervisor's own interrupt controllers and timers.
#pragma once

#include "base/types.hpp"

namespace xylem {

// Boot only.
void deny_device_range(Maddr start, u64 bytes);

}  // namespace xylem
