// SPDX-License-Identifier: MIT
// The CPUs' flight recorders (core/recorder) on this machine: their memory, kept over a warm reset, and their texts.
#pragma once

#include <string_view>

#include "arch/x86/mm/early_memory.hpp"
#include "base/log.hpp"
#include "core/recorder/ring.hpp"

namespace xylem::recorder {

inline constexpr usize shown_by_key = 48;

// Boot, in this order. keep_memory() before anything else takes memory; start() once there is a heap, before the first CPU.
void keep_memory(EarlyMemory& memory, u64 end_of_low_ram);
void start();
Ring* make_ring(CpuId cpu);  // panics when out of memory
void learn_rate();           // the TSC's is known

// The hypervisor panics; callable at any time.
void stops(std::string_view reason);
// dom0 ends the machine: the next start has nothing to report.
void ends();

// The newest `count` (at most shown_by_key) events of every CPU; of the last run as far as it was kept.
void show(log::Level level, usize count);
void show_last_run(usize count);

}  // namespace xylem::recorder
