// SPDX-License-Identifier: MIT
// liblzma on a Scratch.
#pragma once

#include <lzma.h>

#include "init/dom0/image/scratch.hpp"

namespace xylem::image {

// An allocator for liblzma; valid as long as `scratch`. Nothing is freed one by one, so no *_end() call is needed.
lzma_allocator lzma_allocator_of(Scratch& scratch);

}  // namespace xylem::image
