// SPDX-License-Identifier: MIT
#include "init/dom0/image/bcj_x86.hpp"

#include <bit>
#include <cstring>

namespace xylem::image {
namespace {

constexpr usize branch_size = 5;  // opcode E8 or E9 and a 32-bit displacement

bool is_opcode(u8 byte) {
    return (byte & 0xfe) == 0xe8;
}
// A branch is only filtered if it stays within 16 MiB: the displacement's top byte is a sign.
bool is_sign(u32 byte) {
    return byte == 0 || byte == 0xff;
}

// The first E8 or E9 at or behind `at`, or `end`. Never reads at or behind `end`.
usize next_opcode(const u8* bytes, usize at, usize end) {
    constexpr u64 each = 0x0101'0101'0101'0101;
    if (at >= end) return end;  // a filtered branch may have ended behind it
    while (end - at >= sizeof(u64)) {
        u64 word;
        __builtin_memcpy(&word, bytes + at, sizeof word);
        const u64 difference = (word & each * 0xfe) ^ each * 0xe8;  // a zero byte where an opcode is
        const u64 zero = (difference - each) & ~difference & each * 0x80;
        if (zero != 0) return at + static_cast<usize>(std::countr_zero(zero)) / 8;  // exact for the lowest one
        at += sizeof(u64);
    }
    while (at < end && !is_opcode(bytes[at])) ++at;
    return at;
}

// `neighbour`: the distance (1..3) to an opcode byte before this one that was left alone and whose displacement overlaps this
// one; 0 if there is none. With a neighbour the encoder repeated its step while the result would have made the neighbour look
// filterable.
u32 absolute_to_relative(u32 value, u32 position, unsigned neighbour) {
    for (;;) {
        const u32 result = value - position;
        if (neighbour == 0) return result;
        const unsigned kept = 32 - neighbour * 8;  // bits of the displacement below the neighbour's top byte, that one included
        if (!is_sign((result >> (kept - 8)) & 0xff)) return result;
        value = result ^ ((u32{1} << kept) - 1);
    }
}

}  // namespace

void undo_x86_filter(std::span<u8> block, u32 start) {
    if (block.size() < branch_size) return;
    u8* const bytes = block.data();
    const usize end = block.size() - (branch_size - 1);  // an opcode behind this has no whole displacement
    // Bit n: the byte n before the current one was an opcode that was left alone; and, in `signs`, one with a sign as top byte.
    u32 opcodes = 0;
    u32 signs = 0;
    usize last = 0;
    for (usize at = next_opcode(bytes, 0, end); at < end; at = next_opcode(bytes, at, end)) {
        const usize distance = at - last;
        opcodes = distance > 3 ? 0 : opcodes << distance & 0b1110;
        signs = distance > 3 ? 0 : signs << distance & 0b1110;
        last = at;

        const u32 top = bytes[at + 4];
        if (!is_sign(top) || signs != 0 || std::popcount(opcodes) > 1) {
            opcodes |= 1;
            if (is_sign(top)) signs |= 1;
            ++at;
            continue;
        }
        u32 value;
        __builtin_memcpy(&value, bytes + at + 1, sizeof value);
        const u32 position = start + static_cast<u32>(at + branch_size);
        value = absolute_to_relative(value, position, static_cast<unsigned>(std::bit_width(opcodes >> 1)));
        value = (value & 0x00ff'ffff) | ((value >> 24 & 1) != 0 ? 0xff00'0000 : 0);
        __builtin_memcpy(bytes + at + 1, &value, sizeof value);
        opcodes = signs = 0;
        at += branch_size;
    }
}

}  // namespace xylem::image
