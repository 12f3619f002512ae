// SPDX-License-Identifier: MIT
// Inside the emulator: instruction bytes, prefixes and the address of a memory operand.
#pragma once

#include "arch/x86/cpu/frame.hpp"
#include "arch/x86/emul/fetch.hpp"
#include "base/types.hpp"

namespace xylem::emul::detail {

template <class T>
T read_at(const u8* bytes) {
    T value;
    __builtin_memcpy(&value, bytes, sizeof(value));
    return value;
}

// The window with room behind it, so that decoding needs one bounds check, at its end, instead of one per byte. A decision taken
// from bytes behind the valid ones is void: refuse() and complete() turn it into need_more.
class Code {
   public:
    explicit Code(const FetchWindow& window)
        : limit_(window.valid < max_instruction_length ? window.valid : max_instruction_length) {
        __builtin_memcpy(bytes_, &window, sizeof(window));
        __builtin_memset(bytes_ + sizeof(window), 0, sizeof(bytes_) - sizeof(window));
    }

    u8 at(u64 position) const { return bytes_[position]; }
    template <class T>
    T read(u64 position) const {
        return read_at<T>(bytes_ + position);
    }

    const u8* start() const { return bytes_; }

    // True if the first `length` bytes were all readable.
    bool complete(u64 length) const { return length <= limit_; }
    // The right error after looking at the first `length` bytes.
    DecodeError refuse(u64 length) const {
        return complete(length) || limit_ == max_instruction_length ? DecodeError::unhandled : DecodeError::need_more;
    }

   private:
    static_assert(sizeof(FetchWindow) == 16);
    // Furthest read: a prefix at 14, REX at 15, two opcode bytes, ModRM, SIB, displacement, immediate: ends at 28.
    u8 bytes_[32];
    u64 limit_;
};

// Prefixes in one word. REX keeps its encoding in the low byte (0: none). A segment is a bit here and never shares storage with a
// register operand (XSA-123).
using Prefixes = u32;
namespace prefix {
inline constexpr Prefixes rex_b = 0x01, rex_x = 0x02, rex_r = 0x04, rex_w = 0x08, any_rex = 0x40, rex_mask = 0xff;
inline constexpr Prefixes lock = 0x100, operand16 = 0x200, address32 = 0x400, repeat_f3 = 0x800, repeat_f2 = 0x1000;
inline constexpr Prefixes fs = 0x2000, gs = 0x4000;
inline constexpr Prefixes any_repeat = repeat_f2 | repeat_f3, any_segment = fs | gs;
}  // namespace prefix

// The prefixes with a legacy prefix added; `no_prefix` if `byte` is none. The last one of a group wins, except that es, cs, ss
// and ds do nothing at all in 64-bit code: they do not cancel fs or gs.
inline constexpr Prefixes no_prefix = ~Prefixes{0};
inline Prefixes with_prefix(Prefixes prefixes, u8 byte) {
    switch (byte) {
        case 0xf0: return prefixes | prefix::lock;
        case 0x66: return prefixes | prefix::operand16;
        case 0x67: return prefixes | prefix::address32;
        case 0xf2: return (prefixes & ~prefix::any_repeat) | prefix::repeat_f2;
        case 0xf3: return (prefixes & ~prefix::any_repeat) | prefix::repeat_f3;
        case 0x64: return (prefixes & ~prefix::any_segment) | prefix::fs;
        case 0x65: return (prefixes & ~prefix::any_segment) | prefix::gs;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e: return prefixes;
        default: return no_prefix;
    }
}

inline constexpr bool is_register_form(u8 modrm) {
    return modrm >= 0xc0;
}
inline constexpr unsigned reg_field(u8 modrm, Prefixes prefixes) {
    return ((modrm >> 3) & 7u) | ((prefixes & prefix::rex_r) << 1);
}
inline constexpr unsigned rm_field(u8 modrm, Prefixes prefixes) {
    return (modrm & 7u) | ((prefixes & prefix::rex_b) << 3);
}

// False if the override names a segment the caller declared unusable.
inline bool segment_usable(Prefixes prefixes, const AddressContext& context) {
    if (prefixes & prefix::fs) return context.fs_usable;
    if (prefixes & prefix::gs) return context.gs_usable;
    return true;
}

// An effective address made linear. Any 64-bit number may come out, also a non-canonical one.
inline u64 linear_of(u64 effective, Prefixes prefixes, const AddressContext& context) {
    if (prefixes & (prefix::address32 | prefix::any_segment)) [[unlikely]] {
        if (prefixes & prefix::address32) effective = static_cast<u32>(effective);
        if (prefixes & prefix::fs) effective += context.fs_base;
        if (prefixes & prefix::gs) effective += context.gs_base;
    }
    return effective;
}

// Effective address of a ModRM memory operand of 64-bit code [SDM vol. 2, 2.1.5 and 2.2.1], not yet cut to the address size.
// `bytes` is the instruction; `position` is behind the ModRM byte and moves behind the displacement; `immediate_bytes` follow it
// (rip counts from the end). Reads at most 5 bytes from `position`.
[[gnu::always_inline]] inline u64 effective_address(const u8* bytes, u64& position, u8 modrm, Prefixes prefixes,
                                                    const Frame& frame, unsigned immediate_bytes) {
    const unsigned rm = modrm & 7u;
    u64 address = 0;
    if (rm == 4) [[unlikely]] {
        const u8 sib = bytes[position++];
        const unsigned index = ((sib >> 3) & 7u) | ((prefixes & prefix::rex_x) << 2);
        if (index != 4) address = frame.gpr(index) << (sib >> 6);
        if ((sib & 7) == 5 && modrm < 0x40) {
            address += static_cast<u64>(i64{read_at<i32>(bytes + position)});
            position += 4;
            return address;
        }
        address += frame.gpr((sib & 7u) | ((prefixes & prefix::rex_b) << 3));
    } else if ((modrm & 0xc7) == 5) {
        address = static_cast<u64>(i64{read_at<i32>(bytes + position)});
        position += 4;
        return address + frame.rip + position + immediate_bytes;
    } else {
        address = frame.gpr(rm | ((prefixes & prefix::rex_b) << 3));
    }
    if (modrm & 0x40) {
        address += static_cast<u64>(i64{static_cast<i8>(bytes[position])});
        position += 1;
    } else if (modrm & 0x80) {
        address += static_cast<u64>(i64{read_at<i32>(bytes + position)});
        position += 4;
    }
    return address;
}

// One or more elements of a string instruction are done: steps the pointer register and, under a repeat, the count. True if the
// instruction is finished.
inline bool step_string(Frame& frame, unsigned pointer, u64 step, u64 elements, bool repeat, bool address32) {
    if (elements != 0) {
        const unsigned width = address32 ? 4 : 8;
        frame.gpr(pointer) = (frame.gpr(pointer) + step * elements) & (~u64{0} >> (64 - 8 * width));
        if (repeat) frame.rcx = (frame.rcx - elements) & (~u64{0} >> (64 - 8 * width));
    }
    return !repeat || (address32 ? static_cast<u32>(frame.rcx) : frame.rcx) == 0;
}

}  // namespace xylem::emul::detail
