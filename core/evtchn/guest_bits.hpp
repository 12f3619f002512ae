// SPDX-License-Identifier: MIT
// Single bits in memory that a guest changes at the same time. Each is one locked instruction.
#pragma once

#include "base/types.hpp"

namespace xylem::evtchn {

// The former value of the bit.
template <class Word>
inline bool test_and_set(Word& word, unsigned bit) {
    const Word mask = Word{1} << bit;
    return (__atomic_fetch_or(&word, mask, __ATOMIC_SEQ_CST) & mask) != 0;
}
template <class Word>
inline bool test_and_clear(Word& word, unsigned bit) {
    const Word mask = Word{1} << bit;
    return (__atomic_fetch_and(&word, ~mask, __ATOMIC_SEQ_CST) & mask) != 0;
}
template <class Word>
inline bool test(const Word& word, unsigned bit) {
    return ((__atomic_load_n(&word, __ATOMIC_RELAXED) >> bit) & 1) != 0;
}

}  // namespace xylem::evtchn
