// SPDX-License-Identifier: MIT
// The simulated machine's RAM: a pool with its frame table and machine-to-physical table, behind the real frame allocator.
#pragma once

#include "base/types.hpp"

namespace xylem::host {

inline constexpr u64 usual_frames = 16384;   // 64 MiB
inline constexpr u64 few_frames = 1024;      // 4 MiB, for fuzzers: they look at all of them after each step
inline constexpr u64 first_free_frame = 16;  // the frames below play device memory (no RAM)

// Once per process; later calls do nothing.
void start_memory(u64 machine_frames = usual_frames);

}  // namespace xylem::host
