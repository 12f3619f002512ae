// SPDX-License-Identifier: MIT
// The machine of host tests: one thread plays every CPU, time passes when the test says so.
#pragma once

#include <cstdint>

#include "core/port/machine.hpp"

namespace xylem::host {

inline constexpr u32 max_cpus = 16;

struct Machine {
    Nanos now = 0;
    u32 cpus = 1;
    CpuId cpu{0};                  // who executes
    Vcpu* current[max_cpus]{};     // whose stack each CPU is on
    Nanos timer[max_cpus];         // one-shot timers
    bool event_check[max_cpus]{};  // IPIs that are on their way
    u64 timer_programs = 0;        // how often hardware was told
    u64 event_checks = 0;
    Machine() {
        for (Nanos& t : timer) t = never;
    }
};
inline Machine machine;

// The next number of a xorshift generator; its state is not 0.
inline u64 next_random(u64& state) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

// A place where another CPU may act in between. Does nothing unless a PvMachine runs operations on several CPUs at once.
void interleave();

// Guest virtual addresses of tests are host addresses; this page faults.
inline constexpr u64 bad_guest_address = 0xdead'0000;

}  // namespace xylem::host
