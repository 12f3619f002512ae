// SPDX-License-Identifier: MIT
// The hypervisor's virtual addresses: PML4 slots 256..271 of every page table [ABI.md 1.5].
#pragma once

#include "base/types.hpp"

namespace xylem {
class PageInfo;
}

namespace xylem::layout {

constexpr u64 slot(unsigned index) {
    return 0xffff'8000'0000'0000 + u64{index - 256} * (512 * gib);
}

inline constexpr unsigned first_slot = 256;
inline constexpr unsigned end_slot = 272;
inline constexpr u64 hypervisor_start = slot(256);
inline constexpr u64 hypervisor_end = slot(272);
inline constexpr u64 m2p_guest_start = slot(256);    // machine-to-physical table as guests read it (read-only, user)
inline constexpr u64 m2p_start = slot(257);          // the same frames, writable, ours
inline constexpr u64 frame_table_start = slot(258);  // PageInfo per frame
inline constexpr u64 image_start = slot(259);        // text, data, stacks, device mappings
inline constexpr unsigned per_domain_slot = 260;     // GDT/LDT windows of the vCPUs; differs per domain
inline constexpr u64 per_domain_start = slot(per_domain_slot);
inline constexpr u64 direct_map_start = slot(261);  // all RAM
inline constexpr u64 direct_map_bytes = hypervisor_end - direct_map_start;

inline constinit u64 frames_in_table = 0;  // set once at start: one more than the highest RAM frame
inline u64 frame_count() {
    return frames_in_table;
}
inline PageInfo* frame_table() {
    return reinterpret_cast<PageInfo*>(frame_table_start);
}
inline void* direct_map(Maddr a) {
    return reinterpret_cast<void*>(direct_map_start + a.raw);
}
inline Maddr maddr_of_direct(const void* p) {
    return Maddr(reinterpret_cast<u64>(p) - direct_map_start);
}
inline u64* m2p() {
    return reinterpret_cast<u64*>(m2p_start);
}

constexpr bool in_hypervisor(u64 va) {
    return va - hypervisor_start < hypervisor_end - hypervisor_start;
}
constexpr bool is_canonical(u64 va) {
    return static_cast<u64>(static_cast<i64>(va << 16) >> 16) == va;
}

}  // namespace xylem::layout
