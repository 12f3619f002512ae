// SPDX-License-Identifier: MIT
// The hypervisor's own mappings: image, direct map, frame table, machine-to-physical table, devices, stacks.
#pragma once

#include "abi/errno.hpp"
#include "arch/x86/mm/early_memory.hpp"
#include "base/types.hpp"

namespace xylem {

// Page-table entry bits [Intel SDM 3A 4.5].
namespace pte {
inline constexpr u64 present = 1, writable = 2, user = 4, write_through = 8, cache_disable = 0x10, accessed = 0x20, dirty = 0x40;
inline constexpr u64 large = 0x80, global = 0x100, no_execute = u64{1} << 63;
inline constexpr u64 pat = 0x80;  // in L1 entries
inline constexpr u64 frame_mask = 0x000f'ffff'ffff'f000;
inline constexpr u64 table = present | writable | user | accessed;
inline constexpr u64 code = present | accessed | global;
inline constexpr u64 read_only = present | accessed | global | no_execute;
inline constexpr u64 read_write = present | writable | accessed | dirty | global | no_execute;
inline constexpr u64 uncached = read_write | cache_disable | write_through;
inline constexpr u64 write_combining = read_write | pat;  // entry 4 of the ABI's PAT
}  // namespace pte

// Boot: builds the final tables in place of the loader's-eye ones of head.S. `ram_end`: machine bytes to cover.
void build_hypervisor_tables(EarlyMemory& memory, u64 ram_end);

// From here on new tables come from the frame allocator.
void end_early_tables();

// Maps [start, start + bytes) of machine memory at `va` inside a hypervisor slot; large pages where both sides allow.
Result<> map_range(u64 va, Maddr start, u64 bytes, u64 flags);

// Device memory, uncached, at a fresh address; never fails at boot, panics when the window is full. Lives for ever.
// (ioremap_uncached: arch/x86/mm/ioremap.hpp.)
// The same with other attributes (pte::write_combining for frame buffers, pte::read_only for firmware tables).
void* ioremap(Maddr start, u64 bytes, u64 flags);

// Where a mapped hypervisor address lies in the machine.
u64 machine_address_of(u64 va);

// 2^order zeroed frames in a row for the hypervisor itself: early memory while the tables come from there, then the frame
// allocator's. XEN_ENOMEM.
Result<Mfn> hypervisor_frames(unsigned order);

// The L1 entry of `va` in a hypervisor slot, for who maps 4 KiB pages himself; makes the tables above it. XEN_ENOMEM.
Result<u64*> l1_entry(u64 va);

// The L4 every guest table copies its hypervisor slots from, and idle CPUs run on.
extern "C" u64 hypervisor_l4[512];
u64 hypervisor_root();  // its machine address

}  // namespace xylem
