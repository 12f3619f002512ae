// SPDX-License-Identifier: MIT
// Small structures in guest memory, read without a call.
#pragma once

#include "cpu/guest_access.hpp"

namespace xylem::cpu {

// As port::copy_from_guest, for N words. False on a fault or an address that is not the guest's.
template <usize N>
bool read_guest_words(u64 (&to)[N], u64 va) {
    if (!is_guest_range(va, N * 8)) return false;
    user_access_begin();
    bool ok = true;
    for (usize i = 0; ok && i < N; ++i) ok = read_u64(va + i * 8, to[i]);
    user_access_end();
    return ok;
}
inline bool write_guest_word(u64 va, u64 value) {
    if (!is_guest_range(va, 8)) return false;
    user_access_begin();
    const bool ok = write_u64(va, value);
    user_access_end();
    return ok;
}

}  // namespace xylem::cpu
