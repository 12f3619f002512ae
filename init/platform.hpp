// SPDX-License-Identifier: MIT
// Pieces of the PC that the hypervisor shares with dom0, one access at a time.
#pragma once

#include "abi/errno.hpp"
#include "base/types.hpp"

namespace xylem {

// The battery-backed memory behind ports 0x70/0x71.
u8 read_cmos(u8 index);
void write_cmos(u8 index, u8 value);

}  // namespace xylem
