// SPDX-License-Identifier: MIT
// What a PV guest may put into page tables, level by level [ABI.md 3.1, 3.2].
#pragma once

#include "abi/errno.hpp"
#include "core/domain/domain.hpp"
#include "core/mem/pages.hpp"
#include "core/mem/table_types.hpp"

namespace xylem::pv {

namespace bits {
inline constexpr u64 present = 1, writable = 2, user = 4, write_through = 8, cache_disable = 0x10, accessed = 0x20, dirty = 0x40,
                     large_or_pat = 0x80, global = 0x100, no_execute = u64{1} << 63;
inline constexpr u64 frame = 0x000f'ffff'ffff'f000;
inline constexpr u64 available = 0xe00 | (u64{0x7ff} << 52);
inline constexpr u64 cache = write_through | cache_disable | large_or_pat;
}  // namespace bits

constexpr Mfn frame_of(u64 entry) {
    return Mfn((entry & bits::frame) >> page_shift);
}
constexpr bool is_present(u64 entry) {
    return (entry & bits::present) != 0;
}
constexpr unsigned index_of(u64 va, unsigned level) {
    return static_cast<unsigned>(va >> (3 + 9 * level)) & 511;
}

// Entries of a validated table hold references: acquire takes what a new entry needs (and completes it: the user bit, cache
// attributes of device memory), release gives back what an old one held. `owner` owns the frames that are to be mapped.
// Both may take long and yield; no locks.
Result<> acquire_entry(Domain& mapper, DomId owner, unsigned level, u64& entry);
void release_entry(unsigned level, u64 entry);

Result<> acquire_l1(Domain& mapper, DomId owner, u64& entry);
void release_l1(u64 entry);

// True where L4 slot `index` belongs to the hypervisor.
constexpr bool is_hypervisor_slot(unsigned index) {
    return index >= layout::first_slot && index < layout::end_slot;
}

// Table of the frame, in the direct map.
inline u64* table_of(Mfn mfn) {
    return static_cast<u64*>(layout::direct_map(maddr_of(mfn)));
}

// Bits that may differ between two present L1 entries without any new check.
inline constexpr u64 harmless_l1_bits =
    bits::accessed | bits::dirty | bits::available | bits::no_execute | bits::global | bits::user;

}  // namespace xylem::pv
