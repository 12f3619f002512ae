// SPDX-License-Identifier: MIT
#include "arch/x86/entry/patch.hpp"

#include <algorithm>

#include "arch/x86/domain/features.hpp"

extern "C" const xylem::u64 smap_sites_begin[], smap_sites_end[];

namespace xylem {

void patch_for_this_cpu() {
    if (!features().has_smap) return;
    constexpr u64 kind_bit = u64{1} << 63;  // addresses have it set: cleared means `stac`
    for (const u64* site = smap_sites_begin; site != smap_sites_end; ++site) {
        u8* at = reinterpret_cast<u8*>(*site | kind_bit);
        const u8 code[] = {0x0f, 0x01, static_cast<u8>((*site & kind_bit) == 0 ? 0xcb : 0xca)};
        std::copy_n(code, 3, at);
    }
}

void run_on_stack(ArchVcpu& top, void (*function)()) {
    asm volatile("mov %0,%%rsp; xor %%ebp,%%ebp; call *%1; ud2" ::"r"(reinterpret_cast<u64>(&top.guest) - 128), "r"(function)
                 : "memory");
    __builtin_unreachable();
}

void call_on_aligned_stack(void (*function)(void*), void* argument) {
    asm volatile("mov %%rsp,%%rbx; and $-16,%%rsp; call *%1; mov %%rbx,%%rsp"
                 : "+D"(argument)
                 : "r"(function)
                 : "rbx", "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
}

}  // namespace xylem
