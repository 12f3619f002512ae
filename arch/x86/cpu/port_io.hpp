// SPDX-License-Identifier: MIT
// The I/O port instructions.
#pragma once

#include "base/types.hpp"

namespace xylem::cpu {

inline u8 in8(u16 port) {
    u8 value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}
inline u16 in16(u16 port) {
    u16 value;
    asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}
inline u32 in32(u16 port) {
    u32 value;
    asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}
inline void out8(u16 port, u8 value) {
    asm volatile("outb %0, %1" ::"a"(value), "Nd"(port) : "memory");
}
inline void out16(u16 port, u16 value) {
    asm volatile("outw %0, %1" ::"a"(value), "Nd"(port) : "memory");
}
inline void out32(u16 port, u32 value) {
    asm volatile("outl %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

// `count` bytes to one port with a single instruction; an outer hypervisor takes the run in one exit.
inline void out8_run(u16 port, const char* bytes, usize count) {
    asm volatile("rep outsb" : "+S"(bytes), "+c"(count) : "d"(port) : "memory");
}

}  // namespace xylem::cpu
