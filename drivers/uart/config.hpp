// SPDX-License-Identifier: MIT
// Settings of a 16550 serial port, as com1= and com2= give them.
#pragma once

#include <string_view>

#include "base/types.hpp"

namespace xylem::uart {

enum class Parity : u8 { none, odd, even, mark, space };

struct Config {
    u32 baud = 0;  // 0: keep the speed the firmware has set
    u32 clock_hz = 1'843'200;
    u8 data_bits = 8;  // 5 .. 8
    Parity parity = Parity::none;
    u8 stop_bits = 1;  // 1 or 2
    u16 io_base = 0;
    u8 irq = 0;          // ISA interrupt; 0: polled
    bool given = false;  // the user named this port: report when it is missing

    constexpr bool operator==(const Config&) const = default;
};

inline constexpr Config com1_defaults{.io_base = 0x3f8, .irq = 4};
inline constexpr Config com2_defaults{.io_base = 0x2f8, .irq = 3};

// Xen's syntax: <baud>|auto[/<clock hz>][,<data><parity><stop>[,<io base>[,<irq>]]], or name=value parts (baud, clock-hz,
// data-bits, parity, stop-bits, io-base, irq) in any order after the positional ones. Parts left out keep their value.
// False if a part is malformed or names hardware that is not supported (pci, amt); `config` is then unchanged.
bool parse_config(std::string_view s, Config& config);

}  // namespace xylem::uart
