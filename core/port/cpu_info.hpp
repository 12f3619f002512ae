// SPDX-License-Identifier: MIT
// The contract: what the machine's administrator is told about its CPUs.
#pragma once

#include <array>

#include "abi/errno.hpp"
#include "base/types.hpp"

namespace xylem::port {

// Where a CPU sits. Numbers as the hardware has them: not dense. Core numbers repeat in every socket.
struct CpuPlace {
    u32 socket = 0;
    u32 core = 0;
    u32 thread = 0;
};
// `cpu` is below online_cpus().
CpuPlace cpu_place(CpuId cpu);

struct CpuCounts {
    u32 threads_per_core = 1;
    u32 cores_per_socket = 1;
};
CpuCounts cpu_counts();

// The rate of system time's counter; constant after start.
u32 cpu_khz();

// A set of CPU features in the order of <xen/arch-x86/cpufeatureset.h>: 32 per word.
inline constexpr u32 feature_words = 19;
using FeatureSet = std::array<u32, feature_words>;
enum class FeatureSource : u8 {
    hardware,    // what the CPU says
    hypervisor,  // less what the user told us not to use
    pv_guest,    // what a PV guest sees
};
FeatureSet cpu_features(FeatureSource source);

}  // namespace xylem::port
