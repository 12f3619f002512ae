// SPDX-License-Identifier: MIT
// The simulated CPUs' view of memory: page walks in simulated RAM, with translations cached per CPU exactly as long as real
// ones may be: until the CPU is told otherwise. A flush that the hypervisor forgot thus stays visible to check_tlbs().
#pragma once

#include <string>

#include "base/types.hpp"

namespace xylem::host {

struct AccessResult {
    bool ok = false;
    u64 address = 0;     // that faulted
    u32 error_code = 0;  // as a page fault would push it (user bit set: guests run at ring 3)
};

// What guest code on the executing CPU does, at ring 3 (kernel and user alike).
AccessResult guest_load(u64 va, void* to, u64 bytes);
AccessResult guest_store(u64 va, const void* from, u64 bytes);

// What the hypervisor does at a guest's address: faults become false.
bool guest_read(u64 va, void* to, u64 bytes);
bool guest_write(u64 va, const void* from, u64 bytes);

// Every cached translation of every CPU, judged against what the frames are now: no writable one of a page table or descriptor
// page in use, none at all of a frame that went to another owner, no table walked that is no longer that table.
// Empty when all is well, else the first thing that is wrong.
std::string check_tlbs();

// Forgets everything (a new machine).
void reset_mmu();

}  // namespace xylem::host
