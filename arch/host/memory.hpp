// SPDX-License-Identifier: MIT
// The simulated machine's RAM: a pool with its frame table and machine-to-physical table, behind the real frame allocator.
#pragma once

#include "base/types.hpp"

namespace xylem::host {

inline constexpr u64 usual_frames = 16384;   // 64 MiB
inline constexpr u64 first_free_frame = 16;  // the frames below play device memory (no RAM)

// Once per process; later calls do nothing. Fewer frames make audits of all of them faster.
void start_memory(u64 machine_frames = usual_frames);

}  // namespace xylem::host
