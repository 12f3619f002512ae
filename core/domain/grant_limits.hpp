// SPDX-License-Identifier: MIT
// How large a domain's grant tables may get.
#pragma once

#include "base/types.hpp"

namespace xylem::grant {

struct Limits {
    u32 max_frames = 64;             // of the shared table
    u32 max_maptrack_frames = 1024;  // of 256 handles
    u32 max_version = 2;
};

}  // namespace xylem::grant
