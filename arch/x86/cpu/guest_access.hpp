// SPDX-License-Identifier: MIT
// Touching memory that may fault. A fault inside one of these instructions continues at its fix-up (see entry/faults.cpp).
#pragma once

#include "base/types.hpp"
#include "cpu/layout.hpp"

// 1: the address of the instruction that may fault; 2: where to go on.
#define XYLEM_FIXUP(from, to) ".pushsection .exception_table,\"a\",@progbits; .quad " from ", " to "; .popsection\n\t"
// Three bytes that become `stac`/`clac` on CPUs with SMAP; kind 1 = stac, 0 = clac.
#define XYLEM_SMAP_SITE(kind) \
    "9991: .byte 0x0f,0x1f,0x00\n\t.pushsection .smap_sites,\"a\",@progbits; .quad 9991b + (" kind " << 63); .popsection\n\t"

namespace xylem::cpu {

inline bool is_guest_range(u64 va, u64 bytes) {
    const u64 end = va + bytes;
    return end >= va && (end <= layout::hypervisor_start || va >= layout::hypervisor_end);
}

inline void user_access_begin() {
    asm volatile(XYLEM_SMAP_SITE("1")::: "memory");
}
inline void user_access_end() {
    asm volatile(XYLEM_SMAP_SITE("0")::: "memory");
}

// Between user_access_begin and _end, on an address checked with is_guest_range.
inline bool read_u64(u64 va, u64& to) {
    asm goto("1: mov (%1),%0\n\t" XYLEM_FIXUP("1b", "%l[fault]") : "=r"(to) : "r"(va) : "memory" : fault);
    return true;
fault:
    return false;
}
inline bool write_u64(u64 va, u64 value) {
    asm goto("1: mov %1,(%0)\n\t" XYLEM_FIXUP("1b", "%l[fault]")::"r"(va), "r"(value) : "memory" : fault);
    return true;
fault:
    return false;
}

// Copies either way; false on a fault, with part of it done. Whole words first, then the rest.
inline bool copy_bytes(void* to, const void* from, u64 bytes) {
    u64 words = bytes / 8;
    u64 rest = bytes % 8;
    asm goto(
        "1: rep movsq\n\t"
        "mov %3,%2\n\t"
        "2: rep movsb\n\t" XYLEM_FIXUP("1b", "%l[fault]") XYLEM_FIXUP("2b", "%l[fault]")
        : "+D"(to), "+S"(from), "+c"(words)
        : "r"(rest)
        : "memory"
        : fault);
    return true;
fault:
    return false;
}

// From guest memory.
inline bool read_bytes(void* to, u64 va, u64 bytes) {
    return copy_bytes(to, reinterpret_cast<const void*>(va), bytes);
}

// Loads a selector; false where it is not loadable.
inline bool try_load_gs(u16 selector) {
    asm goto("1: mov %0,%%gs\n\t" XYLEM_FIXUP("1b", "%l[fault]")::"r"(u32{selector}) : "memory" : fault);
    return true;
fault:
    return false;
}
inline bool try_load_fs(u16 selector) {
    asm goto("1: mov %0,%%fs\n\t" XYLEM_FIXUP("1b", "%l[fault]")::"r"(u32{selector}) : "memory" : fault);
    return true;
fault:
    return false;
}
inline bool try_load_ds(u16 selector) {
    asm goto("1: mov %0,%%ds\n\t" XYLEM_FIXUP("1b", "%l[fault]")::"r"(u32{selector}) : "memory" : fault);
    return true;
fault:
    return false;
}
inline bool try_load_es(u16 selector) {
    asm goto("1: mov %0,%%es\n\t" XYLEM_FIXUP("1b", "%l[fault]")::"r"(u32{selector}) : "memory" : fault);
    return true;
fault:
    return false;
}
// Model-specific registers that may not exist.
inline bool try_rdmsr(u32 msr, u64& value) {
    u32 low;
    u32 high;
    asm goto("1: rdmsr\n\t" XYLEM_FIXUP("1b", "%l[fault]") : "=a"(low), "=d"(high) : "c"(msr)::fault);
    value = (u64{high} << 32) | low;
    return true;
fault:
    return false;
}
inline bool try_wrmsr(u32 msr, u64 value) {
    asm goto("1: wrmsr\n\t" XYLEM_FIXUP("1b", "%l[fault]")::"c"(msr), "a"(static_cast<u32>(value)),
             "d"(static_cast<u32>(value >> 32))
             : "memory"
             : fault);
    return true;
fault:
    return false;
}
inline bool try_xsetbv(u32 index, u64 value) {
    asm goto("1: xsetbv\n\t" XYLEM_FIXUP("1b", "%l[fault]")::"c"(index), "a"(static_cast<u32>(value)),
             "d"(static_cast<u32>(value >> 32))
             : "memory"
             : fault);
    return true;
fault:
    return false;
}
inline bool try_xrstor64(const void* area, u64 mask) {
    asm goto("1: xrstor64 (%0)\n\t" XYLEM_FIXUP("1b", "%l[fault]")::"r"(area), "a"(static_cast<u32>(mask)),
             "d"(static_cast<u32>(mask >> 32))
             : "memory"
             : fault);
    return true;
fault:
    return false;
}

}  // namespace xylem::cpu
