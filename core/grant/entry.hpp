// SPDX-License-Identifier: MIT
// The entries of a grant table as the guest sees them. It can change them at any instant: every read here is one snapshot.
#pragma once

#include "abi/xen.hpp"
#include "base/types.hpp"

namespace xylem::grant {

// The first four bytes of both versions' entries, read and swapped as one word.
struct Header {
    u32 word = 0;

    constexpr u16 flags() const { return static_cast<u16>(word); }
    constexpr DomId domid() const { return DomId(static_cast<u16>(word >> 16)); }
    constexpr u32 type() const { return word & GTF_type_mask; }
    constexpr bool has(u32 flag) const { return (word & flag) != 0; }
};

inline Header load_header(const u32* at) {
    return {__atomic_load_n(at, __ATOMIC_ACQUIRE)};
}
inline bool swap_header(u32* at, Header& expected, u32 wanted) {
    return __atomic_compare_exchange_n(at, &expected.word, wanted, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
// Flags stand in the header's low half (little endian); the granter owns the other half and the other bits.
inline void clear_flags(u16* at, u32 flags) {
    __atomic_fetch_and(at, static_cast<u16>(~flags), __ATOMIC_RELEASE);
}
inline void set_flags(u16* at, u32 flags) {
    __atomic_fetch_or(at, static_cast<u16>(flags), __ATOMIC_SEQ_CST);
}
template <class T>
T load_once(const T& at) {
    return __atomic_load_n(&at, __ATOMIC_RELAXED);
}
template <class T>
void store_once(T& at, T value) {
    __atomic_store_n(&at, value, __ATOMIC_RELAXED);
}

inline constexpr u32 entries_per_frame_v1 = page_size / sizeof(grant_entry_v1_t);
inline constexpr u32 entries_per_frame_v2 = page_size / sizeof(grant_entry_v2_t);
inline constexpr u32 statuses_per_frame = page_size / sizeof(grant_status_t);
inline constexpr u32 reserved_entries = GNTTAB_NR_RESERVED_ENTRIES;
static_assert(sizeof(grant_entry_v1_t) == 8 && sizeof(grant_entry_v2_t) == 16 && sizeof(grant_status_t) == 2);

}  // namespace xylem::grant
