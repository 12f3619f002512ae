// SPDX-License-Identifier: MIT
// How the CPUID leaves of the boot CPU describe all CPUs (the machine's CPUs are taken to be of one kind).
#pragma once

#include "base/types.hpp"

namespace xylem::pv {

// How an APIC id is made up: thread number in the lowest bits, then the core, then the socket.
struct ApicIdLayout {
    u32 thread_bits = 0;
    u32 core_bits = 0;
    u32 threads_per_core = 1;
    u32 cores_per_socket = 1;
};
ApicIdLayout apic_id_layout();

struct CpuModel {
    char vendor[12];  // as CPUID spells it, no zero behind
    u32 family;       // the extended fields included
    u32 model;
    u32 stepping;
};
CpuModel cpu_model();

}  // namespace xylem::pv
