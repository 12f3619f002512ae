// SPDX-License-Identifier: MIT
// How an interrupt line signals [ACPI 6.5, 5.2.12.5.1 "MPS INTI flags"].
#pragma once

#include "base/types.hpp"

namespace xylem {

enum class Trigger : u8 { edge = 0, level = 1 };
enum class Polarity : u8 { high = 0, low = 1 };

struct InterruptMode {
    Trigger trigger = Trigger::edge;
    Polarity polarity = Polarity::high;
    constexpr bool operator==(const InterruptMode&) const = default;
};

inline constexpr InterruptMode isa_mode{Trigger::edge, Polarity::high};
inline constexpr InterruptMode pci_mode{Trigger::level, Polarity::low};

}  // namespace xylem
