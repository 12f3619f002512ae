// SPDX-License-Identifier: MIT
// The registers of whatever was interrupted, as the entry code leaves them on the hypervisor's stack.
#pragma once

#include "base/types.hpp"

namespace xylem {

struct Frame {
    u64 r15, r14, r13, r12, rbp, rbx;
    u64 r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    u32 error_code;
    u32 entry_vector;  // IDT vector, or frame_by_syscall
    u64 rip;
    u64 cs;  // low 16 bits
    u64 rflags;
    u64 rsp;
    u64 ss;  // low 16 bits

    // A general register by its number in instruction encodings (0 rax, 1 rcx, … 15 r15).
    u64& gpr(unsigned index) { return *reinterpret_cast<u64*>(reinterpret_cast<u8*>(this) + gpr_offset[index & 15]); }
    const u64& gpr(unsigned index) const {
        return *reinterpret_cast<const u64*>(reinterpret_cast<const u8*>(this) + gpr_offset[index & 15]);
    }

    static constexpr u8 gpr_offset[16] = {80, 88, 96, 40, 152, 32, 104, 112, 72, 64, 56, 48, 24, 16, 8, 0};
};
static_assert(sizeof(Frame) == 168);
static_assert(offsetof(Frame, rax) == 80 && offsetof(Frame, rcx) == 88 && offsetof(Frame, rdx) == 96 &&
              offsetof(Frame, rbx) == 40);
static_assert(offsetof(Frame, rbp) == 32 && offsetof(Frame, rsi) == 104 && offsetof(Frame, rdi) == 112 &&
              offsetof(Frame, r8) == 72);
static_assert(offsetof(Frame, error_code) == 120 && offsetof(Frame, entry_vector) == 124 && offsetof(Frame, rsp) == 152);

// entry_vector of frames made by `syscall`: rcx and r11 are free, so the way back may be sysret.
inline constexpr u32 frame_by_syscall = 0x100;

}  // namespace xylem
