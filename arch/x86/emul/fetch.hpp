// SPDX-License-Identifier: MIT
// What the two decoders take and how they refuse.
#pragma once

#include <array>

#include "base/types.hpp"

namespace xylem::emul {

inline constexpr u64 max_instruction_length = 15;  // [SDM vol. 2, 2.3.11]

// The instruction bytes at rip, read once by the caller. Only the first `valid` bytes were readable; what follows them is never
// looked at for a decision. A caller should fetch up to 15 bytes and stop at the first unreadable page.
struct FetchWindow {
    std::array<u8, max_instruction_length> bytes;
    u8 valid;
};

enum class DecodeError : u8 {
    need_more,  // the instruction goes on after the readable bytes: the guest gets #PF for the fetch at rip + valid
    unhandled,  // not an instruction of this decoder, malformed, or longer than 15 bytes: the guest gets the original exception
};

enum class CodeMode : u8 {
    bits64,  // cs.L set
    bits32,  // compatibility mode with cs.D set: only forms without a memory operand decode
    other,   // 16-bit code: nothing decodes
};

// What an address needs beside the registers. In 64-bit code every other segment has base 0. A segment not `usable` makes an
// instruction that names it `unhandled` instead of reading through a stale base.
struct AddressContext {
    u64 fs_base = 0;
    u64 gs_base = 0;
    CodeMode mode = CodeMode::bits64;
    bool fs_usable = true;
    bool gs_usable = true;
};

}  // namespace xylem::emul
