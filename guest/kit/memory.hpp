// SPDX-License-Identifier: MIT
// The guest's memory: pages by pseudo-physical number, what frame each has, and all of them in one linear mapping.
#pragma once

#include "abi/xen.hpp"

namespace xylem::kit {

inline constexpr u64 linear_base = 0xffff'ffff'8000'0000;
inline constexpr u64 linear_pages = (u64{1} << 30) >> page_shift;  // memory beyond the first GiB is left alone
inline constexpr u64 window_base = 0xffff'c900'0000'0000;          // for everything that is not the guest's own memory
inline constexpr u64 m2p_base = 0xffff'8000'0000'0000;

void start_memory(const start_info_t& info);

constexpr u64 linear(Gfn pfn) {
    return linear_base + (pfn.raw << page_shift);
}
inline void* address_of(Gfn pfn) {
    return reinterpret_cast<void*>(linear(pfn));
}
inline Gfn pfn_at(const volatile void* linear_address) {
    return Gfn((reinterpret_cast<u64>(linear_address) - linear_base) >> page_shift);
}

// The p2m is the guest's own list, the m2p the hypervisor's. invalid_mfn: no frame.
Mfn frame_of(Gfn pfn);
void set_frame_of(Gfn pfn, Mfn mfn);
inline Mfn frame_at(const volatile void* linear_address) {
    return frame_of(pfn_at(linear_address));
}
// Only right when the frame is this guest's: check with owns().
Gfn pfn_of(Mfn mfn);
bool owns(Mfn mfn);
u64 page_count();

// 2^order neighbouring pages, zeroed; null when there are none.
void* allocate_pages(unsigned order = 0);
void free_pages(void* pages, unsigned order = 0);
u64 free_page_count();

}  // namespace xylem::kit
