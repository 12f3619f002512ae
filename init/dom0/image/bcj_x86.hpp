// SPDX-License-Identifier: MIT
// Undoes the x86 branch filter of the .xz format: near calls and jumps were stored with absolute targets.
#pragma once

#include <span>

#include "base/types.hpp"

namespace xylem::image {

// Filters a whole block in place; `start` is the filter's start offset from the block header.
void undo_x86_filter(std::span<u8> block, u32 start);

}  // namespace xylem::image
