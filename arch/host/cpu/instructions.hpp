// SPDX-License-Identifier: MIT
// Host stand-in for the instructions: the same names, on the simulated CPU that executes.
#pragma once

#include <cstdlib>
#include <cstring>
#include <utility>

#include "cpu/registers.hpp"
#include "hw/x86/registers.hpp"

namespace xylem::host {
// mmu.cpp: what control-register writes and invlpg do to the CPU's cached translations.
void tlb_flush_all();
void tlb_flush_page(u64 va);
void tlb_flush_with_globals();
}  // namespace xylem::host

namespace xylem::cpu {

inline bool host_msr(u32 msr, u64*& where) {
    host::Registers& r = host::registers();
    switch (msr) {
        case x86::msr::fs_base: where = &r.fs_base; return true;
        case x86::msr::gs_base: where = &r.gs_base; return true;
        case x86::msr::kernel_gs_base: where = &r.kernel_gs_base; return true;
        default: break;
    }
    const auto found = r.msrs.find(msr);
    if (found == r.msrs.end()) return false;
    where = &found->second;
    return true;
}
inline u64 rdmsr(u32 msr) {
    u64* where = nullptr;
    if (!host_msr(msr, where)) std::abort();
    return *where;
}
inline void wrmsr(u32 msr, u64 value) {
    u64* where = nullptr;
    const bool is_base = msr == x86::msr::fs_base || msr == x86::msr::gs_base || msr == x86::msr::kernel_gs_base;
    // The CPU faults on a base that is not canonical, and nothing of ours may ever fault there.
    if (is_base && static_cast<u64>(static_cast<i64>(value << 16) >> 16) != value) std::abort();
    if (host_msr(msr, where))
        *where = value;
    else
        host::registers().msrs[msr] = value;
    host::simulation.note("wrmsr", msr);
}

inline u64 read_cr0() {
    return host::registers().cr0;
}
inline void write_cr0(u64 v) {
    host::registers().cr0 = v;
}
inline u64 read_cr2() {
    return host::registers().cr2;
}
inline u64 read_cr3() {
    return host::registers().cr3;
}
inline void write_cr3(u64 v) {
    host::simulation.note("cr3", v);
    host::registers().cr3 = v;
    host::tlb_flush_all();
}
inline u64 read_cr4() {
    return host::registers().cr4;
}
inline void write_cr4(u64 v) {
    if (((host::registers().cr4 ^ v) & x86::cr4::pge) != 0) host::tlb_flush_with_globals();
    host::registers().cr4 = v;
}
inline void clts() {
    host::registers().cr0 &= ~x86::cr0::ts;
}
inline void invlpg(u64 va) {
    host::simulation.note("invlpg", va);
    host::tlb_flush_page(va);
}
inline void wbinvd() {
    host::simulation.note("wbinvd");
}

struct CpuidRegs {
    u32 a, b, c, d;
};
inline CpuidRegs cpuid(u32 leaf, u32 subleaf = 0) {
    const auto found = host::simulation.cpuid.find({leaf, subleaf});
    if (found == host::simulation.cpuid.end()) return {};
    return {found->second.a, found->second.b, found->second.c, found->second.d};
}

inline u64 rdtsc() {
    return host::registers().tsc += 100;
}

struct [[gnu::packed]] TablePointer {
    u16 limit;
    u64 base;
};
inline void lgdt(const TablePointer& p) {
    host::registers().gdt_base = p.base;
    host::registers().gdt_limit = p.limit;
    host::simulation.note("lgdt", p.base);
}
inline void lidt(const TablePointer& p) {
    host::registers().idt_base = p.base;
    host::registers().idt_limit = p.limit;
}
inline void ltr(u16) {}
inline void lldt(u16 selector) {
    host::registers().ldtr = selector;
    host::simulation.note("lldt", selector);
}
inline u16 read_ds() {
    return host::registers().ds;
}
inline u16 read_es() {
    return host::registers().es;
}
inline u16 read_fs() {
    return host::registers().fs;
}
inline u16 read_gs() {
    return host::registers().gs;
}
inline void reload_segments() {}
inline void swapgs() {
    std::swap(host::registers().gs_base, host::registers().kernel_gs_base);
}
inline u64 rdfsbase() {
    return host::registers().fs_base;
}
inline u64 rdgsbase() {
    return host::registers().gs_base;
}
inline void wrfsbase(u64 v) {
    wrmsr(x86::msr::fs_base, v);
}
inline void wrgsbase(u64 v) {
    wrmsr(x86::msr::gs_base, v);
}

template <unsigned N>
u64 read_dr() {
    return host::registers().dr[N];
}
template <unsigned N>
void write_dr(u64 v) {
    if ((N == 6 || N == 7) && v >> 32 != 0) std::abort();  // #GP on hardware
    host::registers().dr[N] = v;
}

inline void fninit() {}
inline void ldmxcsr(u32) {}
inline void fxsave64(void*) {}
inline void fxrstor64(const void*) {}
inline void xsave64(void*, u64) {}
inline void xrstor64(const void*, u64) {}
inline void xsetbv(u32, u64 v) {
    host::registers().xcr0 = v;
}

inline void sleep_until_interrupt() {}
[[noreturn]] inline void stop_forever() {
    std::abort();
}

}  // namespace xylem::cpu
