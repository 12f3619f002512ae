// SPDX-License-Identifier: MIT
// Unaligned little-endian reads from bytes nobody has vouched for.
#pragma once

#include <cstring>
#include <span>
#include <type_traits>

#include "base/types.hpp"

namespace xylem::image {

// Precondition: range_fits(at, sizeof(T), bytes.size()).
template <class T>
    requires std::is_trivially_copyable_v<T>
T read_at(std::span<const u8> bytes, u64 at) {
    T value;
    __builtin_memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

}  // namespace xylem::image
