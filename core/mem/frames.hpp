// SPDX-License-Identifier: MIT
#pragma once

#include "core/mem/frame_allocator.hpp"

namespace xylem {

// The machine's one frame allocator.
FrameAllocator& frames();

}  // namespace xylem
