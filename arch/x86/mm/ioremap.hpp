// SPDX-License-Identifier: MIT
// Device memory in the hypervisor's address space.
#pragma once

#include "base/types.hpp"

namespace xylem {

// Maps machine bytes [start, start + bytes) uncached, for good; any alignment. Boot CPU, before guests run. Panics without room.
volatile void* ioremap_uncached(Maddr start, u64 bytes);

}  // namespace xylem
