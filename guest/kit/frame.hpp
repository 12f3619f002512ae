// SPDX-License-Identifier: MIT
// The registers of an interrupted context, as guest/kit/start.S leaves them on the stack, and the way back into it.
#pragma once

#include "base/types.hpp"
#include "guest/kit/offsets.h"

namespace xylem::kit {

struct Frame {
    u64 r15, r14, r13, r12, rbp, rbx, r10, r9, r8, rdx, rsi, rdi, rax, r11, rcx;
    u32 error;   // error code; 0 for vectors without one
    u32 vector;  // 0..255, or one of Code
    u64 rip;
    u16 cs;
    u16 cs_padding;
    u8 saved_upcall_mask;  // of the interrupted context
    u8 cs_padding2[3];
    u64 rflags, rsp;
    u16 ss;
    u16 ss_padding[3];

    bool from_user() const { return (cs & 3) == 3; }
};

// What is not an exception but arrives like one.
enum class Code : u32 {
    event = KIT_CODE_EVENT,
    syscall = KIT_CODE_SYSCALL,
    syscall32 = KIT_CODE_SYSCALL32,
    sysenter = KIT_CODE_SYSENTER,
    failsafe = KIT_CODE_FAILSAFE,
};

// The hypervisor's flat segments [abi arch-x86/xen-x86_64.h].
inline constexpr u16 flat_cs64 = 0xe033, flat_ss = 0xe02b, flat_cs32 = 0xe023;

}  // namespace xylem::kit
