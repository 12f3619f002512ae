// SPDX-License-Identifier: MIT
// Device registers in memory. The accesses are single instructions of the stated width; volatile keeps them in order.
#pragma once

#include "base/types.hpp"

namespace xylem::cpu {

inline u32 mmio_read32(volatile void* base, usize offset) {
    return *reinterpret_cast<volatile u32*>(static_cast<volatile u8*>(base) + offset);
}
inline void mmio_write32(volatile void* base, usize offset, u32 value) {
    *reinterpret_cast<volatile u32*>(static_cast<volatile u8*>(base) + offset) = value;
}
inline u64 mmio_read64(volatile void* base, usize offset) {
    return *reinterpret_cast<volatile u64*>(static_cast<volatile u8*>(base) + offset);
}
inline void mmio_write64(volatile void* base, usize offset, u64 value) {
    *reinterpret_cast<volatile u64*>(static_cast<volatile u8*>(base) + offset) = value;
}

}  // namespace xylem::cpu
