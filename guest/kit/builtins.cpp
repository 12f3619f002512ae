// SPDX-License-Identifier: MIT
// The four functions a compiler may call by itself.
#include <cstddef>

#include "base/types.hpp"

extern "C" {
void* memcpy(void* to, const void* from, size_t n);
void* memmove(void* to, const void* from, size_t n);
void* memset(void* to, int value, size_t n);
int memcmp(const void* a, const void* b, size_t n);
size_t strlen(const char* s);
const void* memchr(const void* s, int c, size_t n);

void* memcpy(void* to, const void* from, size_t n) {
    void* const start = to;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
    return start;
}
void* memmove(void* to, const void* from, size_t n) {
    if (to <= from) return memcpy(to, from, n);
    auto* d = static_cast<xylem::u8*>(to) + n;
    const auto* s = static_cast<const xylem::u8*>(from) + n;
    while (n-- > 0) {
        *--d = *--s;
        asm volatile("" ::: "memory");  // not a call of memmove again
    }
    return to;
}
void* memset(void* to, int value, size_t n) {
    void* const start = to;
    asm volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
    return start;
}
int memcmp(const void* a, const void* b, size_t n) {
    const auto* x = static_cast<const xylem::u8*>(a);
    const auto* y = static_cast<const xylem::u8*>(b);
    for (size_t i = 0; i < n; ++i)
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    return 0;
}
size_t strlen(const char* s) {
    size_t n = 0;
    while (s[n] != 0) {
        ++n;
        asm volatile("" ::: "memory");
    }
    return n;
}
const void* memchr(const void* s, int c, size_t n) {
    const auto* p = static_cast<const xylem::u8*>(s);
    for (size_t i = 0; i < n; ++i)
        if (p[i] == static_cast<xylem::u8>(c)) return p + i;
    return nullptr;
}
}
