// SPDX-License-Identifier: MIT
// Emulation of a guest's store to a page that it sees read-only (a page table of the last level).
//
//   decode_store()   what the instruction would do          (reads registers, changes nothing)
//   apply()          the new value, given the old one        (pure; repeat it when a compare-exchange of the caller lost a race)
//   retire()         registers, flags and rip afterwards     (with the old value that was really replaced)
//
// The caller owns the memory: it checks that [linear, linear + size) lies where it may write, is aligned, and is the address that
// faulted. No I/O, no locks, no allocation here.
#pragma once

#include <expected>

#include "arch/x86/cpu/frame.hpp"
#include "arch/x86/emul/fetch.hpp"
#include "arch/x86/emul/registers.hpp"
#include "base/types.hpp"

namespace xylem::emul {

// Order matters: up to `xchg` the new value is the operand; up to `stos` a lock prefix is an invalid opcode.
enum class StoreKind : u8 {
    none,
    mov,
    stos,
    xchg,
    cmpxchg,
    cmpxchg8b,
    bts,
    btr,
    btc,
    logic_and,
    logic_or,
    logic_xor,
    add,
    adc,
    sub,
    sbb,
    xadd,
    inc,
    dec,
    logic_not,
    neg,
};

struct StoreOp {
    u64 linear;    // linear address of the first byte; may be non-canonical
    u64 operand;   // source, `size` bytes; for bts/btr/btc the one bit; for cmpxchg the replacement
    u64 expected;  // cmpxchg, cmpxchg8b: the accumulator; adc, sbb: the carry that goes in; else meaningless
    StoreKind kind;
    u8 size;         // bytes: 1, 2, 4, 8
    u8 length;       // of the instruction, 1..15
    u8 source;       // xchg and xadd put the old value into this register (hardware number); else meaningless
    bool high_byte;  // that register is ah, ch, dh or bh (source is then rax .. rbx)
    bool locked;     // xchg is atomic without it
    bool repeat;     // stos: one element was decoded, rip stays until rcx is 0
    bool address32;
};

struct StoreResult {
    u64 value;   // `size` bytes; meaningless without `write`
    bool write;  // false: memory keeps its value (a cmpxchg that found something else)
};

// Decodes a store of 64-bit code at frame.rip. The result describes exactly one access; it aliases nothing.
std::expected<StoreOp, DecodeError> decode_store(const FetchWindow& window, const Frame& frame, const AddressContext& context);

namespace detail {
// decode_store without its short cut: the same answers for every input, in more instructions.
std::expected<StoreOp, DecodeError> decode_any_store(const FetchWindow& window, const Frame& frame,
                                                     const AddressContext& context);
StoreResult compute(const StoreOp& op, u64 old_value);
void finish(const StoreOp& op, u64 old_value, Frame& frame);
}  // namespace detail

// What memory must hold afterwards. `old_value` has `size` bytes, upper bits clear.
inline StoreResult apply(const StoreOp& op, u64 old_value) {
    if (op.kind <= StoreKind::xchg) [[likely]]
        return {op.operand, true};
    if (op.kind == StoreKind::cmpxchg) return {op.operand, old_value == op.expected};
    if (op.kind == StoreKind::btr) return {old_value & ~op.operand, true};
    if (op.kind == StoreKind::logic_and) return {old_value & op.operand, true};
    return detail::compute(op, old_value);
}

// The instruction is done (or one element of a repeated stos). A #DB for rflags.TF is the caller's.
inline void retire(const StoreOp& op, u64 old_value, Frame& frame) {
    if (op.kind == StoreKind::mov) return advance(frame, op.length);
    if (op.kind == StoreKind::xchg && op.size == 8) {
        frame.gpr(op.source) = old_value;
        return advance(frame, op.length);
    }
    if (op.kind == StoreKind::cmpxchg && old_value == op.expected) {  // flags of comparing equal numbers
        frame.rflags = (frame.rflags & ~rflags::arithmetic) | rflags::zero | rflags::parity;
        return advance(frame, op.length);
    }
    if (op.kind >= StoreKind::bts && op.kind <= StoreKind::btc) {
        frame.rflags = (frame.rflags & ~rflags::carry) | (old_value & op.operand ? rflags::carry : 0);
        return advance(frame, op.length);
    }
    detail::finish(op, old_value, frame);
}

// For callers that hold the aligned 8-byte word around the access: the bytes of the access in it, and the word with them
// replaced. Only for accesses that do not cross the word.
inline bool within_word(const StoreOp& op) {
    return (op.linear & 7) + op.size <= 8;
}
inline u64 bytes_in_word(const StoreOp& op, u64 word) {
    return (word >> (8 * (op.linear & 7))) & mask_of(op.size);
}
inline u64 word_with_bytes(const StoreOp& op, u64 word, u64 value) {
    const u64 shift = 8 * (op.linear & 7);
    return (word & ~(mask_of(op.size) << shift)) | (value << shift);
}

}  // namespace xylem::emul
