// SPDX-License-Identifier: MIT
#pragma once

#include "base/types.hpp"

namespace xylem {

// Device memory, uncached, at a fresh hypervisor address. For ever; panics when the window is full.
volatile void* ioremap_uncached(Maddr start, u64 bytes);

}  // namespace xylem
