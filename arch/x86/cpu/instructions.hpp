// SPDX-License-Identifier: MIT
// One function per instruction. Nothing here decides anything.
#pragma once

#include "base/types.hpp"

namespace xylem::cpu {

// --- model-specific registers ----------------------------------------------------------------------------------------------
inline u64 rdmsr(u32 msr) {
    u32 low = 0;
    u32 high = 0;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (u64{high} << 32) | low;
}
inline void wrmsr(u32 msr, u64 value) {
    asm volatile("wrmsr" ::"c"(msr), "a"(static_cast<u32>(value)), "d"(static_cast<u32>(value >> 32)) : "memory");
}

// --- control registers -------------------------------------------------------------------------------------------------------
inline u64 read_cr0() {
    u64 v;
    asm volatile("mov %%cr0,%0" : "=r"(v));
    return v;
}
inline void write_cr0(u64 v) {
    asm volatile("mov %0,%%cr0" ::"r"(v) : "memory");
}
inline u64 read_cr2() {
    u64 v;
    asm volatile("mov %%cr2,%0" : "=r"(v));
    return v;
}
inline u64 read_cr3() {
    u64 v;
    asm volatile("mov %%cr3,%0" : "=r"(v));
    return v;
}
inline void write_cr3(u64 v) {
    asm volatile("mov %0,%%cr3" ::"r"(v) : "memory");
}
inline u64 read_cr4() {
    u64 v;
    asm volatile("mov %%cr4,%0" : "=r"(v));
    return v;
}
inline void write_cr4(u64 v) {
    asm volatile("mov %0,%%cr4" ::"r"(v) : "memory");
}
inline void clts() {
    asm volatile("clts" ::: "memory");
}

inline void invlpg(u64 va) {
    asm volatile("invlpg (%0)" ::"r"(va) : "memory");
}
inline void wbinvd() {
    asm volatile("wbinvd" ::: "memory");
}

// --- identification ------------------------------------------------------------------------------------------------------------
struct CpuidRegs {
    u32 a, b, c, d;
};
inline CpuidRegs cpuid(u32 leaf, u32 subleaf = 0) {
    CpuidRegs r{};
    asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
    return r;
}

// --- time ----------------------------------------------------------------------------------------------------------------------
inline u64 rdtsc() {
    u32 low = 0;
    u32 high = 0;
    asm volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (u64{high} << 32) | low;
}

// --- descriptor tables
struct [[gnu::packed]] TablePointer {
    u16 limit;
    u64 base;
};
inline void lgdt(const TablePointer& p) {
    asm volatile("lgdt %0" ::"m"(p));
}
inline void lidt(const TablePointer& p) {
    asm volatile("lidt %0" ::"m"(p));
}
inline void ltr(u16 selector) {
    asm volatile("ltr %0" ::"r"(selector) : "memory");
}
inline void lldt(u16 selector) {
    asm volatile("lldt %0" ::"r"(selector) : "memory");
}
inline u16 read_ds() {
    u16 v;
    asm volatile("mov %%ds,%0" : "=r"(v));
    return v;
}
inline u16 read_es() {
    u16 v;
    asm volatile("mov %%es,%0" : "=r"(v));
    return v;
}
inline u16 read_fs() {
    u16 v;
    asm volatile("mov %%fs,%0" : "=r"(v));
    return v;
}
inline u16 read_gs() {
    u16 v;
    asm volatile("mov %%gs,%0" : "=r"(v));
    return v;
}
// Code segment and data segments of the hypervisor's own GDT part; clears fs and gs (and their bases).
inline void reload_segments() {
    asm volatile(
        "pushq %0; leaq 1f(%%rip),%%rax; pushq %%rax; lretq; 1:\n\t"
        "xorl %%eax,%%eax; mov %%eax,%%ds; mov %%eax,%%es; mov %%eax,%%fs; mov %%eax,%%gs; mov %%eax,%%ss" ::"i"(0xe008)
        : "rax", "memory");
}
inline void swapgs() {
    asm volatile("swapgs" ::: "memory");
}
inline u64 rdfsbase() {
    u64 v;
    asm volatile("rdfsbase %0" : "=r"(v));
    return v;
}
inline u64 rdgsbase() {
    u64 v;
    asm volatile("rdgsbase %0" : "=r"(v));
    return v;
}
inline void wrfsbase(u64 v) {
    asm volatile("wrfsbase %0" ::"r"(v));
}
inline void wrgsbase(u64 v) {
    asm volatile("wrgsbase %0" ::"r"(v));
}

// --- debug registers
template <unsigned N>
u64 read_dr() {
    u64 v;
    asm volatile("mov %%db%c1,%0" : "=r"(v) : "i"(N));
    return v;
}
template <unsigned N>
void write_dr(u64 v) {
    asm volatile("mov %0,%%db%c1" ::"r"(v), "i"(N));
}

// --- floating point
inline void fninit() {
    asm volatile("fninit");
}
inline void ldmxcsr(u32 v) {
    asm volatile("ldmxcsr %0" ::"m"(v));
}
inline void fxsave64(void* area) {
    asm volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}
inline void fxrstor64(const void* area) {
    asm volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}
inline void xsave64(void* area, u64 mask) {
    asm volatile("xsave64 (%0)" ::"r"(area), "a"(static_cast<u32>(mask)), "d"(static_cast<u32>(mask >> 32)) : "memory");
}
inline void xrstor64(const void* area, u64 mask) {
    asm volatile("xrstor64 (%0)" ::"r"(area), "a"(static_cast<u32>(mask)), "d"(static_cast<u32>(mask >> 32)) : "memory");
}
inline void xsetbv(u32 index, u64 v) {
    asm volatile("xsetbv" ::"c"(index), "a"(static_cast<u32>(v)), "d"(static_cast<u32>(v >> 32)));
}

// --- waiting
// Interrupts on and sleep, without a gap in which one could be lost; returns with interrupts off.
inline void sleep_until_interrupt() {
    asm volatile("sti; hlt; cli" ::: "memory");
}
[[noreturn]] inline void stop_forever() {
    for (;;) asm volatile("cli; hlt" ::: "memory");
}

}  // namespace xylem::cpu
