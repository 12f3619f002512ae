// SPDX-License-Identifier: MIT
// Device memory that no guest may map (the hypervisor's interrupt controllers), or may only read (its timers).
#pragma once

#include "base/types.hpp"

namespace xylem {

// Boot only.
void deny_device_range(Maddr start, u64 bytes);
void protect_device_range(Maddr start, u64 bytes);

}  // namespace xylem
