// SPDX-License-Identifier: MIT
// What tests of the scheduler have in common.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>

#include "core/sched/entity.hpp"

namespace xylem::test {

inline constexpr Nanos us = 1000;
inline constexpr Nanos ms = 1000 * us;
inline constexpr Nanos second = 1000 * ms;

inline sched::CpuMask only(std::initializer_list<u32> cpus) {
    sched::CpuMask m;
    for (u32 c : cpus) m.set(CpuId(c));
    return m;
}

// Plays with the seeds 1 to `seeds`, until one fails.
template <class Play>
void with_seeds(u32 seeds, Play&& play) {
    for (u32 seed = 1; seed <= seeds && !testing::Test::HasFailure(); ++seed) play(seed);
}

}  // namespace xylem::test
