// SPDX-License-Identifier: MIT
// Partial registers, RFLAGS bits, and the step to the next instruction.
#pragma once

#include "arch/x86/cpu/frame.hpp"
#include "base/types.hpp"

namespace xylem::emul {

namespace rflags {
inline constexpr u64 carry = u64{1} << 0;
inline constexpr u64 parity = u64{1} << 2;
inline constexpr u64 adjust = u64{1} << 4;
inline constexpr u64 zero = u64{1} << 6;
inline constexpr u64 sign = u64{1} << 7;
inline constexpr u64 trap = u64{1} << 8;
inline constexpr u64 direction = u64{1} << 10;
inline constexpr u64 overflow = u64{1} << 11;
inline constexpr u64 resume = u64{1} << 16;
inline constexpr u64 arithmetic = carry | parity | adjust | zero | sign | overflow;
}  // namespace rflags

// All ones in the low `size` bytes; size is 1, 2, 4 or 8.
constexpr u64 mask_of(unsigned size) {
    return ~u64{0} >> (64 - 8 * size);
}

// The low `size` bytes of a register.
inline u64 read_register(const Frame& frame, unsigned index, unsigned size) {
    return frame.gpr(index) & mask_of(size);
}

// Writes as the processor does: 4 bytes clear the upper half, 1 and 2 bytes leave the rest alone. `value` may have bits above
// `size`.
inline void write_register(Frame& frame, unsigned index, unsigned size, u64 value) {
    u64& target = frame.gpr(index);
    if (size == 8) {
        target = value;
    } else if (size == 4) {
        target = static_cast<u32>(value);
    } else {
        const u64 mask = mask_of(size);
        target = (target & ~mask) | (value & mask);
    }
}

// Ends an instruction. The caller still owes the guest a #DB if the resulting rflags have `trap` set. In 32-bit code rip wraps
// there.
inline void advance(Frame& frame, unsigned length, bool code64 = true) {
    const u64 next = frame.rip + length;
    frame.rip = code64 ? next : static_cast<u32>(next);
    frame.rflags &= ~rflags::resume;
}

}  // namespace xylem::emul
