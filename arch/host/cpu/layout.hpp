// SPDX-License-Identifier: MIT
// Host stand-in for the address layout: the same guest-visible numbers, our own tables in ordinary memory.
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
inline constexpr u64 m2p_guest_start = slot(256);
inline constexpr unsigned per_domain_slot = 260;
inline constexpr u64 per_domain_start = slot(per_domain_slot);

// Set by the simulated machine (arch/host) when a test makes one.
inline PageInfo* host_frame_table = nullptr;
inline u64 host_frame_count = 0;
inline u8* host_ram = nullptr;
inline u64* host_m2p = nullptr;

inline u64 frame_count() {
    return host_frame_count;
}
inline PageInfo* frame_table() {
    return host_frame_table;
}
inline void* direct_map(Maddr a) {
    return host_ram + a.raw;
}
inline Maddr maddr_of_direct(const void* p) {
    return Maddr(static_cast<u64>(static_cast<const u8*>(p) - host_ram));
}
inline u64* m2p() {
    return host_m2p;
}

constexpr bool in_hypervisor(u64 va) {
    return va - hypervisor_start < hypervisor_end - hypervisor_start;
}
constexpr bool is_canonical(u64 va) {
    return static_cast<u64>(static_cast<i64>(va << 16) >> 16) == va;
}

}  // namespace xylem::layout
