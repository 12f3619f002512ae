// SPDX-License-Identifier: MIT
// Host stand-in: the general copy, which knows both simulated guests and tests that pass plain pointers.
#pragma once

#include "core/port/machine.hpp"

namespace xylem::cpu {

template <usize N>
bool read_guest_words(u64 (&to)[N], u64 va) {
    return port::copy_from_guest(to, va, sizeof to);
}
inline bool write_guest_word(u64 va, u64 value) {
    return port::copy_to_guest(va, &value, sizeof value);
}

}  // namespace xylem::cpu
