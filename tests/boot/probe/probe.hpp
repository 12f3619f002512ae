// SPDX-License-Identifier: MIT
// Hypercalls from a program in dom0 or in a guest, through Linux's privcmd device, and what the commands of the probe are.
#pragma once

#include <cstdint>
#include <string_view>

#include "abi/xen.hpp"

namespace probe {

// The answer of a hypercall: a non-negative number, or minus an errno.
long hypercall(unsigned number, std::uint64_t one = 0, std::uint64_t two = 0, std::uint64_t three = 0, std::uint64_t four = 0);

inline std::uint64_t address(const volatile void* object) {
    return reinterpret_cast<std::uintptr_t>(object);
}

// Prints how hypercalls with hostile arguments are answered, a line for each operation. `guest`: a domain that may come to harm.
int hostile(unsigned guest);
// Tries every operation that only a control domain may do; prints those that were not refused.
int refused();
// Takes event channels, or grants, until there are no more; then says how many there were.
int take_ports();
int take_grants();
// A domctl and a sysctl of an interface version that nobody has.
int wrong_version();
int free_pages();
// Prints processor time in nanoseconds of each domain.
int cpu_times();
// Reads the TSC many times; prints the last. Fails where it goes back.
int time_stamp();
// The domain's TSC mode.
int time_stamp_mode(unsigned domain);
// Gives a domain the CPU policy that it has, then one that there is not; prints the answers.
int same_policy(unsigned domain);
// Writes a port (unless negative), then reads it.
int port(unsigned number, long written);
// The first word of a frame of device memory.
int frame(unsigned long number);

}  // namespace probe
