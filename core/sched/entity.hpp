// SPDX-License-Identifier: MIT
// The scheduler's part of a vCPU.
#pragma once

#include <atomic>

#include "abi/xen.hpp"
#include "base/types.hpp"

namespace xylem::sched {

// Physical CPUs as a set.
struct CpuMask {
    static constexpr unsigned capacity = 256;
    u64 words[capacity / 64]{};

    constexpr bool has(CpuId c) const { return c.raw < capacity && ((words[c.raw / 64] >> (c.raw % 64)) & 1) != 0; }
    constexpr void set(CpuId c) { words[c.raw / 64] |= u64{1} << (c.raw % 64); }
    constexpr void clear(CpuId c) { words[c.raw / 64] &= ~(u64{1} << (c.raw % 64)); }
    static constexpr CpuMask all() {
        CpuMask m;
        for (u64& w : m.words) w = ~u64{0};
        return m;
    }
};

// ABI numbering of runstates [xen/vcpu.h].
enum class RunState : u8 { running = 0, runnable = 1, blocked = 2, offline = 3 };

struct Entity {
    RunState state = RunState::offline;
    std::atomic<u32> pause_count{0};  // > 0: not to be run
    bool down = true;                 // VCPUOP_down, or never brought up
    bool blocked = false;             // waits for an event (SCHEDOP_block/poll)
    bool is_idle = false;
    bool on_cpu = false;  // its registers live on a CPU
    CpuId cpu{0};         // last or current physical CPU
    CpuMask hard_affinity = CpuMask::all();
    CpuMask soft_affinity = CpuMask::all();
    vcpu_runstate_info runstate{};  // times per state, ABI form

    // The policy's own data: see core/sched/scheduler.hpp.
    i64 credit = 0;
    u32 weight = 256;
    u32 cap = 0;  // percent of one CPU; 0 = none
    Entity* next = nullptr;
    Entity* previous = nullptr;
    bool queued = false;
};

}  // namespace xylem::sched
