// SPDX-License-Identifier: MIT
// Instructions that a PV guest kernel executes at CPL 3 and expects to work: decoded here, executed by arch/x86/pv.
//
// The decoder says what the instruction is, never that it is allowed: the caller must ask right_of() and check the guest's
// virtual privilege for every one (XSA-105).
#pragma once

#include <expected>

#include "arch/x86/cpu/frame.hpp"
#include "arch/x86/emul/fetch.hpp"
#include "arch/x86/emul/registers.hpp"
#include "base/types.hpp"

namespace xylem::emul {

enum class PrivilegedKind : u8 {
    cpuid_forced,  // ud2; "xen"; cpuid
    cpuid,
    rdmsr,
    wrmsr,
    read_control,   // gpr(reg) = cr<system_register>
    write_control,  // cr<system_register> = gpr(reg)
    read_debug,
    write_debug,
    clts,
    lmsw,  // 2 bytes from gpr(reg) or memory
    smsw,  // to gpr(reg), `size` bytes, or 2 bytes to memory
    xsetbv,
    cli,
    sti,
    port_in,      // gpr(0), `size` bytes, from `port`
    port_out,     // `port` from gpr(0)
    string_in,    // memory at `linear` from `port`
    string_out,   // `port` from memory at `linear`
    cache_flush,  // wbinvd, wbnoinvd
    invd,
    rdtsc,
    rdtscp,
    rdpmc,
    hlt,
    invlpg,  // `linear`
    software_interrupt,
    refused,  // descriptor-table registers and selectors (lgdt, lidt, lldt, ltr and their reads), swapgs: a guest gets #GP(0)
};

// What the guest must hold, virtually, for the instruction to be executed on its behalf.
enum class Right : u8 {
    anyone,        // subject to cpuid faulting, CR4.TSD, CR4.PCE, CR4.UMIP
    guest_kernel,  // else #GP(0)
    port_access,   // virtual IOPL, or the I/O bitmap for `size` ports from `port`; else #GP(0)
    virtual_iopl,  // virtual IOPL only; else #GP(0)
    gate,          // the DPL of the guest's trap-table entry `vector`
};

Right right_of(PrivilegedKind kind);

// Fields that `kind` does not mention are 0. The segment of an operand is already part of `linear`.
struct PrivilegedOp {
    u64 linear = 0;  // memory operand (first element of a string); may be non-canonical
    u64 count = 1;   // string_in, string_out: elements that rcx asks for; may be 0
    u64 step = 0;    // string_in, string_out: added to the address after an element (modulo 2^64)
    PrivilegedKind kind = PrivilegedKind::refused;
    u8 length = 0;           // 1..15
    u8 size = 0;             // operand bytes
    u8 reg = 0;              // hardware number of the general-purpose register
    u8 system_register = 0;  // cr or dr number
    u8 vector = 0;
    u16 port = 0;
    bool memory = false;  // lmsw, smsw: the operand is at `linear`, not in gpr(reg)
    bool repeat = false;
    bool address32 = false;
};

// Decodes the instruction at frame.rip. In 32-bit code only forms without memory operand. A guest's plain ud2 is `unhandled`;
// where the signature behind it is cut off by unreadable memory the answer is need_more.
std::expected<PrivilegedOp, DecodeError> decode_privileged(const FetchWindow& window, const Frame& frame,
                                                           const AddressContext& context);

// After `done` (0 .. op.count) elements of string_in or string_out: steps rdi or rsi and rcx; rip moves on when none are left.
void retire_string(const PrivilegedOp& op, u64 done, Frame& frame);

}  // namespace xylem::emul
