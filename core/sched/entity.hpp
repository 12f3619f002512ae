// SPDX-License-Identifier: MIT
// The scheduler's part of a vCPU.
#pragma once

#include <atomic>

#include "abi/xen.hpp"
#include "base/sync/spinlock.hpp"
#include "base/types.hpp"
#include "core/sched/timer.hpp"

namespace xylem {
struct Vcpu;
}

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
    constexpr bool empty() const {
        for (u64 w : words)
            if (w != 0) return false;
        return true;
    }
    constexpr CpuMask operator&(const CpuMask& o) const {
        CpuMask m;
        for (unsigned i = 0; i < capacity / 64; ++i) m.words[i] = words[i] & o.words[i];
        return m;
    }
};

// ABI numbering of runstates [xen/vcpu.h].
enum class RunState : u8 { running = 0, runnable = 1, blocked = 2, offline = 3 };

// Guarded by the run-queue lock of the entity's CPU ("the entity's lock", see core/sched/scheduler.hpp) where not atomic.
struct Entity {
    RunState state = RunState::offline;
    std::atomic<u32> pause_count{0};   // > 0: not to enter the guest
    std::atomic<bool> down{true};      // VCPUOP_down, or never brought up
    std::atomic<bool> at_exit{true};   // nothing of a hypercall or trap is on its stack: pause and down hold it here only
    std::atomic<bool> ending{false};   // its domain dies: it goes as far as the way to the guest, and ends there
    std::atomic<bool> ended{false};    // will never run again
    std::atomic<bool> blocked{false};  // waits for an event (SCHEDOP_block/poll)
    std::atomic<bool> on_cpu{false};   // its registers live on a CPU
    std::atomic<bool> polling{false};  // blocked in SCHEDOP_poll
    std::atomic<u32> poll_port{0};     // the only port polled; any_port for several
    bool is_idle = false;
    CpuId cpu{0};                              // last or current physical CPU; changes under the old CPU's lock
    CpuMask wanted_affinity = CpuMask::all();  // as tools set it
    CpuMask hard_affinity = CpuMask::all();    // what of it is in the domain's CPU pool, or else the whole pool
    CpuMask soft_affinity = CpuMask::all();
    vcpu_runstate_info runstate{};  // times per state, ABI form
    Timer poll_timer;
    Nanos time_updated = 0;   // when vcpu_info.time was last written
    CpuId time_cpu{~u32{0}};  // and on which CPU

    // --- the policy's own data: see core/sched/scheduler.hpp
    u64 vtime = 0;     // service received divided by weight, ns at the default weight; wraps, compare by difference
    u32 weight = 256;  // copy of the domain's
    Vcpu* next = nullptr;
    Vcpu* previous = nullptr;
    bool queued = false;
    bool boosted = false;  // woke up; may take the CPU from the running vCPU before its slice ends
    bool parked = false;   // its domain has used up its cap for this period
    bool added = false;

    static constexpr u32 any_port = ~u32{0};
};

// The scheduler's part of a domain.
struct DomainShare {
    std::atomic<u32> polling{0};  // vCPUs in SCHEDOP_poll

    // Weight and cap as in `xl sched-credit2`; the cap is in percent of one CPU for the whole domain, 0 = none.
    std::atomic<u32> weight{256};
    std::atomic<u32> cap{0};
    Spinlock lock;  // rank: inside a run-queue lock
    Nanos budget XYLEM_GUARDED_BY(lock) = 0;
    Nanos period_end XYLEM_GUARDED_BY(lock) = 0;
    Timer refill;  // armed while a vCPU is parked

    CpuMask cpus = CpuMask::all();  // the domain's CPU pool; guarded by the domain's lock

    static constexpr unsigned watchdogs = 2;
    Timer watchdog[watchdogs];
    bool watchdog_used[watchdogs]{};  // guarded by the domain's lock
};

}  // namespace xylem::sched
