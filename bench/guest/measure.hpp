// SPDX-License-Identifier: MIT
// Time in dom0 counted by the TSC. Under QEMU's -icount one instruction is one virtual nanosecond, so ticks become instructions.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace bench {

// The TSC after everything before it has finished.
inline std::uint64_t ticks() {
    std::uint32_t low, high;
    asm volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high)::"memory");
    return std::uint64_t{high} << 32 | low;
}

inline std::uint64_t monotonic_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

// Instructions per tick, from a loop whose instructions are known, the least disturbed of many: the others have an interrupt
// or another domain in between. Set once by calibrate().
inline double instructions_per_tick = 1;

// Runs 2 * count instructions.
inline void spin(std::uint64_t count) {
    asm volatile("1:\tdec %0\n\tjnz 1b" : "+r"(count)::"cc");
}

void calibrate();

// A measurement that is repeated for ever instead, for ./xylem bench --profile, with a call of mark() before each operation.
inline const char* only = nullptr;
[[gnu::noinline]] inline void mark() {
    asm volatile("" ::: "memory");
}

constexpr int rounds = 7;

// Prints the median, least and greatest cost in instructions of one call of `action`, over `rounds` rounds of `count` calls.
// `divisor`: how many operations one call does.
template <class Action>
void measure(const char* name, int count, Action action, int divisor = 1) {
    if (only != nullptr) {
        if (std::strcmp(name, only) != 0) return;
        std::printf("PROFILE mark=%p divisor=%d\n", reinterpret_cast<void*>(&mark), divisor);
        std::fflush(stdout);
        for (;;) {
            mark();
            action();
        }
    }
    std::array<double, rounds> costs{};
    for (double& cost : costs) {
        const std::uint64_t start = ticks();
        for (int i = 0; i < count; ++i) action();
        cost = static_cast<double>(ticks() - start) / count / divisor * instructions_per_tick;
    }
    std::sort(costs.begin(), costs.end());
    std::printf("BENCH %s %.0f %.0f %.0f\n", name, costs[rounds / 2], costs.front(), costs.back());
    std::fflush(stdout);
}

void measure_kernel(const char* own_path);
void measure_xen();
// The other modes of the program, one side each of what two domains do; also `exit`.
int domain_mode(int count, char** words);

}  // namespace bench
