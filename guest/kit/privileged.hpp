// SPDX-License-Identifier: MIT
// Instructions that a PV kernel may not execute for real: the hypervisor emulates them, or refuses with #GP.
#pragma once

#include "base/types.hpp"

namespace xylem::kit {

struct CpuidAnswer {
    u32 a, b, c, d;
};
// With the prefix that asks for the hypervisor's answer, whatever the machine says.
inline CpuidAnswer cpuid(u32 leaf, u32 subleaf = 0) {
    CpuidAnswer r;
    asm volatile("ud2; .ascii \"xen\"; cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
    return r;
}
inline CpuidAnswer native_cpuid(u32 leaf, u32 subleaf = 0) {
    CpuidAnswer r;
    asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
    return r;
}
inline u64 read_msr(u32 number) {
    u32 low, high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
    return u64{high} << 32 | low;
}
inline void write_msr(u32 number, u64 value) {
    asm volatile("wrmsr" ::"c"(number), "a"(static_cast<u32>(value)), "d"(static_cast<u32>(value >> 32)) : "memory");
}
template <unsigned number>
u64 read_cr() {
    u64 value;
    asm volatile("mov %%cr%c1, %0" : "=r"(value) : "i"(number));
    return value;
}
template <unsigned number>
void write_cr(u64 value) {
    asm volatile("mov %0, %%cr%c1" ::"r"(value), "i"(number) : "memory");
}
inline u8 in8(u16 port) {
    u8 value;
    asm volatile("inb %w1, %b0" : "=a"(value) : "Nd"(port));
    return value;
}
inline u16 in16(u16 port) {
    u16 value;
    asm volatile("inw %w1, %w0" : "=a"(value) : "Nd"(port));
    return value;
}
inline u32 in32(u16 port) {
    u32 value;
    asm volatile("inl %w1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
inline void out8(u16 port, u8 value) {
    asm volatile("outb %b0, %w1" ::"a"(value), "Nd"(port));
}
inline void out16(u16 port, u16 value) {
    asm volatile("outw %w0, %w1" ::"a"(value), "Nd"(port));
}
inline void out32(u16 port, u32 value) {
    asm volatile("outl %0, %w1" ::"a"(value), "Nd"(port));
}

}  // namespace xylem::kit
