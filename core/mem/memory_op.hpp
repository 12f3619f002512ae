// SPDX-License-Identifier: MIT
// Hypercall 12: a domain's memory reservation, and what guests may know about memory.
#pragma once

#include "abi/xen.hpp"
#include "base/result.hpp"
#include "core/port/memory_info.hpp"

namespace xylem {

struct Domain;
struct Vcpu;

inline constexpr u32 max_memory_map_entries = 128;

// A domain's memory map as the tools gave it. Guarded by the domain's lock.
struct MemoryMap {
    u32 count = 0;
    MemoryMapEntry entries[max_memory_map_entries];
};

// No locks held. A count of extents, a number, 0, or minus an errno.
long memory_op(Vcpu& vcpu, u64 command, u64 argument);

// When the domain's structure goes.
void release_memory_map(Domain& domain);

// The parts of memory_op, each for one argument structure. They answer as the hypercall does.
namespace memory {

// The largest extent a guest may ask for at once: runs of frames are precious, and one extent is not preemptible.
unsigned max_extent_order(const Domain& caller);

Result<long> increase_reservation(Vcpu& vcpu, u64 argument);
Result<long> decrease_reservation(Vcpu& vcpu, u64 argument);
Result<long> populate_physmap(Vcpu& vcpu, u64 argument);
Result<long> claim_pages(Vcpu& vcpu, u64 argument);
Result<long> exchange(Vcpu& vcpu, u64 argument);
Result<long> acquire_resource(Vcpu& vcpu, u64 argument);
Result<long> set_memory_map(Vcpu& vcpu, u64 argument);
Result<long> memory_map(Vcpu& vcpu, u64 argument);
Result<long> machine_memory_map(Vcpu& vcpu, u64 argument);

}  // namespace memory
}  // namespace xylem
