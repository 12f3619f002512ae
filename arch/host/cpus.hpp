// SPDX-License-Identifier: MIT
// The simulated CPUs as the hypervisor's own structures know them, and operations that run on several of them at once.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "arch/host/machine.hpp"
#include "arch/x86/domain/features.hpp"
#include "arch/x86/domain/per_cpu.hpp"
#include "core/port/memory_info.hpp"

namespace xylem::host {

// What the machine answers to arch/x86/pv; tests change it.
struct Environment {
    Features features{};
    std::vector<MemoryMapEntry> memory_map;
    std::vector<Mfn> m2p_extents;
    u64 maximum_guest_frame = 0x1234;
    bool device_frames_allowed = true;  // for hardware domains
    bool caching_allowed = true;        // for hardware domains
    u64 read_only_device_frame = ~u64{0};
    u64 guest_crashes = 0;
};
inline Environment environment;

PerCpu& per_cpu(CpuId cpu);

// Runs `tasks[i]` on CPU i, all at once: at every interleave() (copies, changes of the M2P, preemption points, waiting for locks
// and flushes, and function entries of instrumented code) `choose(n)` says which of the n CPUs that can go on does.
void run_at_once(std::vector<std::function<void()>> tasks, const std::function<u32(u32)>& choose);

// While tasks run at once: other CPUs also act at entries of functions in code built with -finstrument-functions (the page
// state's operations among them), at about one in `rarity`; 0 switches that off.
void interleave_at_function_entries(u32 rarity, u64 seed);

}  // namespace xylem::host
