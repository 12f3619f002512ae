// SPDX-License-Identifier: MIT
// Message signalled interrupts as x86 hears them [Intel SDM volume 3, 11.11].
#pragma once

#include "base/types.hpp"

namespace xylem::hw {

struct MsiMessage {
    u32 address = 0;
    u32 address_high = 0;
    u32 data = 0;
    constexpr bool operator==(const MsiMessage&) const = default;
};

inline constexpr u32 msi_window = 0xfee0'0000;
inline constexpr u64 msi_window_size = mib;

// The message that raises `vector`, edge triggered, fixed, on the CPU with this local APIC id. Without interrupt remapping a
// message names 8 bits of it (id <= 255): the caller gives no other.
constexpr MsiMessage compose_msi(u32 apic_id, u8 vector) {
    return {msi_window | (apic_id & 0xff) << 12, 0, vector};
}

constexpr u8 vector_of(const MsiMessage& message) {
    return static_cast<u8>(message.data);
}

}  // namespace xylem::hw
