// SPDX-License-Identifier: MIT
// The functions the compiler calls by itself, and that Debian's static libraries expect. Built with -fno-builtin, or the loops
// would be turned into calls of themselves.
#include <cstddef>

#include "base/types.hpp"

using xylem::u64;
using xylem::u8;
using xylem::usize;

namespace {

// Two overlapping words move 8 to 16 bytes; the reads come first, so it is right for overlapping areas, too.
template <class Word>
void move_two(u8* to, const u8* from, usize size) {
    Word first, last;
    __builtin_memcpy_inline(&first, from, sizeof first);
    __builtin_memcpy_inline(&last, from + size - sizeof last, sizeof last);
    __builtin_memcpy_inline(to, &first, sizeof first);
    __builtin_memcpy_inline(to + size - sizeof last, &last, sizeof last);
}

void move_small(u8* to, const u8* from, usize size) {  // size <= 16
    if (size >= 8) return move_two<u64>(to, from, size);
    if (size >= 4) return move_two<xylem::u32>(to, from, size);
    if (size >= 2) return move_two<xylem::u16>(to, from, size);
    if (size != 0) *to = *from;
}

struct Pair {
    u64 low, high;
};

constexpr usize string_move_from = 256;  // below, the start-up time of `rep` costs more than a loop

}  // namespace

extern "C" {

void* memcpy(void* __restrict to_, const void* __restrict from_, size_t size) {
    u8* to = static_cast<u8*>(to_);
    const u8* from = static_cast<const u8*>(from_);
    if (size <= 16) {
        move_small(to, from, size);
        return to_;
    }
    // The last 16 bytes go first and may be written twice; then whole pairs of words from the start.
    __builtin_memcpy_inline(to + size - 16, from + size - 16, 16);
    if (size < string_move_from) {
        const u8* const end = from + size - 16;
        do {
            __builtin_memcpy_inline(to, from, 16);
            to += 16;
            from += 16;
        } while (from < end);
        return to_;
    }
    usize words = size / 8;
    asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words)::"memory");
    return to_;
}

void* memmove(void* to_, const void* from_, size_t size) {
    u8* const to = static_cast<u8*>(to_);
    const u8* const from = static_cast<const u8*>(from_);
    if (size <= 16) {
        move_small(to, from, size);
        return to_;
    }
    if (static_cast<usize>(to - from) >= size) {  // `to` is below `from`, or they do not overlap: upwards
        u64 last[2];
        __builtin_memcpy_inline(last, from + size - 16, 16);
        usize at = 0;
        for (; at + 16 < size; at += 16) {
            Pair p;
            __builtin_memcpy_inline(&p, from + at, 16);
            __builtin_memcpy_inline(to + at, &p, 16);
        }
        __builtin_memcpy_inline(to + size - 16, last, 16);
        return to_;
    }
    u64 first[2];
    __builtin_memcpy_inline(first, from, 16);
    for (usize at = size; at > 16; at -= 16) {
        Pair p;
        __builtin_memcpy_inline(&p, from + at - 16, 16);
        __builtin_memcpy_inline(to + at - 16, &p, 16);
    }
    __builtin_memcpy_inline(to, first, 16);
    return to_;
}

void* memset(void* to_, int value, size_t size) {
    u8* to = static_cast<u8*>(to_);
    const u64 word = 0x0101'0101'0101'0101 * static_cast<u8>(value);
    if (size < 8) {
        for (usize i = 0; i < size; ++i) *static_cast<volatile u8*>(to + i) = static_cast<u8>(value);
        return to_;
    }
    __builtin_memcpy_inline(to + size - 8, &word, 8);
    usize words = size / 8;
    if (size < string_move_from) {
        for (; words != 0; --words, to += 8) __builtin_memcpy_inline(to, &word, 8);
        return to_;
    }
    asm volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(word) : "memory");
    return to_;
}

int memcmp(const void* a_, const void* b_, size_t size) {
    const u8* a = static_cast<const u8*>(a_);
    const u8* b = static_cast<const u8*>(b_);
    for (; size >= 8; size -= 8, a += 8, b += 8) {
        u64 x, y;
        __builtin_memcpy_inline(&x, a, 8);
        __builtin_memcpy_inline(&y, b, 8);
        if (x != y) return __builtin_bswap64(x) < __builtin_bswap64(y) ? -1 : 1;  // the lowest address decides
    }
    for (; size != 0; --size, ++a, ++b)
        if (*a != *b) return *a < *b ? -1 : 1;
    return 0;
}

void* memchr(const void* in, int value, size_t size) {
    const u8* at = static_cast<const u8*>(in);
    for (; size != 0; --size, ++at)
        if (*at == static_cast<u8>(value)) return const_cast<u8*>(at);
    return nullptr;
}

size_t strlen(const char* text) {
    const char* end = text;
    while (*end != '\0') ++end;
    return static_cast<size_t>(end - text);
}

}  // extern "C"
