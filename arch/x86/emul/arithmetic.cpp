// SPDX-License-Identifier: MIT
// Values and flags of read-modify-write stores. Where the manual leaves a flag undefined we do what processors do: logic
// operations clear AF, bit tests change only CF.
#include "arch/x86/emul/operand.hpp"
#include "arch/x86/emul/store.hpp"

namespace xylem::emul::detail {
namespace {

using enum StoreKind;

constexpr u64 flag_if(bool condition, u64 flag) {
    return condition ? flag : 0;
}

// ZF, SF and PF of a result already cut to `size` bytes.
u64 result_flags(u64 result, unsigned size) {
    return flag_if(result == 0, rflags::zero) | flag_if((result >> (8 * size - 1)) & 1, rflags::sign) |
           flag_if(!__builtin_parity(static_cast<unsigned>(result & 0xff)), rflags::parity);
}

// `carries` has, at each bit, the carry or borrow out of that bit; `overflows` has OF in its top bit.
u64 sum_flags(u64 result, u64 carries, u64 overflows, unsigned size) {
    const unsigned top = 8 * size - 1;
    return result_flags(result, size) | flag_if((carries >> top) & 1, rflags::carry) |
           flag_if((carries >> 3) & 1, rflags::adjust) | flag_if((overflows >> top) & 1, rflags::overflow);
}

u64 flags_of_add(u64 a, u64 b, u64 result, unsigned size) {
    return sum_flags(result, (a & b) | ((a | b) & ~result), (a ^ result) & (b ^ result), size);
}

u64 flags_of_sub(u64 a, u64 b, u64 result, unsigned size) {
    return sum_flags(result, (~a & b) | ((~a | b) & result), (a ^ b) & (a ^ result), size);
}

// The arithmetic flags after the instruction, `before` where it leaves them alone.
u64 flags_after(const StoreOp& op, u64 old_value, u64 before) {
    const u64 mask = mask_of(op.size);
    const u64 kept_carry = before & rflags::carry;
    switch (op.kind) {
        case none:
        case mov:
        case stos:
        case xchg:
        case bts:  // retire() has dealt with them
        case btr:
        case btc:
        case logic_not: return before;
        case cmpxchg: return flags_of_sub(op.expected, old_value, (op.expected - old_value) & mask, op.size);
        case cmpxchg8b: return (before & ~rflags::zero) | flag_if(old_value == op.expected, rflags::zero);
        case logic_and:
        case logic_or:
        case logic_xor: return result_flags(compute(op, old_value).value, op.size);
        case add:
        case adc:
        case xadd: return flags_of_add(old_value, op.operand, compute(op, old_value).value, op.size);
        case sub:
        case sbb: return flags_of_sub(old_value, op.operand, compute(op, old_value).value, op.size);
        case inc: return (flags_of_add(old_value, 1, (old_value + 1) & mask, op.size) & ~rflags::carry) | kept_carry;
        case dec: return (flags_of_sub(old_value, 1, (old_value - 1) & mask, op.size) & ~rflags::carry) | kept_carry;
        case neg: return flags_of_sub(0, old_value, (0 - old_value) & mask, op.size);
    }
    return before;
}

void write_source(const StoreOp& op, u64 value, Frame& frame) {
    if (op.high_byte) {
        u64& target = frame.gpr(op.source);
        target = (target & ~u64{0xff00}) | ((value & 0xff) << 8);
    } else {
        write_register(frame, op.source, op.size, value);
    }
}

}  // namespace

StoreResult compute(const StoreOp& op, u64 old_value) {
    const u64 mask = mask_of(op.size);
    switch (op.kind) {
        case none: return {old_value, false};
        case mov:
        case stos:
        case xchg: return {op.operand, true};
        case cmpxchg:
        case cmpxchg8b: return old_value == op.expected ? StoreResult{op.operand, true} : StoreResult{old_value, false};
        case bts:
        case logic_or: return {old_value | op.operand, true};
        case btr: return {old_value & ~op.operand, true};
        case btc:
        case logic_xor: return {old_value ^ op.operand, true};
        case logic_and: return {old_value & op.operand, true};
        case add:
        case xadd: return {(old_value + op.operand) & mask, true};
        case adc: return {(old_value + op.operand + op.expected) & mask, true};
        case sub: return {(old_value - op.operand) & mask, true};
        case sbb: return {(old_value - op.operand - op.expected) & mask, true};
        case inc: return {(old_value + 1) & mask, true};
        case dec: return {(old_value - 1) & mask, true};
        case logic_not: return {~old_value & mask, true};
        case neg: return {(0 - old_value) & mask, true};
    }
    return {old_value, false};
}

void finish(const StoreOp& op, u64 old_value, Frame& frame) {
    const u64 before = frame.rflags;
    frame.rflags = (before & ~rflags::arithmetic) | flags_after(op, old_value, before & rflags::arithmetic);
    if (op.kind == xchg || op.kind == xadd) {
        write_source(op, old_value, frame);
    } else if (op.kind == cmpxchg) {
        write_register(frame, 0, op.size, old_value);
    } else if (op.kind == cmpxchg8b && old_value != op.expected) {
        frame.rax = static_cast<u32>(old_value);
        frame.rdx = old_value >> 32;
    } else if (op.kind == stos) {
        const u64 step = before & rflags::direction ? u64{0} - op.size : op.size;
        if (!step_string(frame, 7, step, 1, op.repeat, op.address32)) return;
    }
    advance(frame, op.length);
}

}  // namespace xylem::emul::detail
