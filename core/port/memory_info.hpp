// SPDX-License-Identifier: MIT
// The contract: what memory_op tells guests about the machine's memory.
#pragma once

#include <span>

#include "base/types.hpp"

namespace xylem {
struct Domain;

// One range as the firmware's E820 call tells it; 20 bytes in guests' buffers.
struct [[gnu::packed]] MemoryMapEntry {
    u64 start;
    u64 bytes;
    u32 type;  // 1 RAM, 2 reserved, 3 ACPI, 4 NVS, 5 unusable
};
static_assert(sizeof(MemoryMapEntry) == 20);

}  // namespace xylem

namespace xylem::port {

// The machine's memory map, sorted; what the hypervisor took for itself still counts as RAM. Constant after start.
std::span<const MemoryMapEntry> machine_memory_map();

// The guest-readable machine-to-physical table, as 2 MiB pieces: how many, and the first frame of each (Mfn(0): a hole).
u64 m2p_extents();
Mfn m2p_extent(u64 index);

// The highest frame number in the domain's own counting that it says it uses (PV: from its shared_info).
u64 maximum_guest_frame(Domain& domain);

}  // namespace xylem::port
