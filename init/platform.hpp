// SPDX-License-Identifier: MIT
// Pieces of the PC that the hypervisor shares with dom0, one access at a time.
#pragma once

#include "abi/errno.hpp"
#include "base/types.hpp"

namespace xylem {

// The battery-backed memory behind ports 0x70/0x71.
u8 read_cmos(u8 index);
void write_cmos(u8 index, u8 value);

struct Domain;
// Configuration space through ports 0xcf8/0xcfc: `address` as written to 0xcf8, `offset` 0..3, 1, 2 or 4 bytes.
Result<u32> guest_pci_read(Domain& d, u32 address, u32 offset, u32 bytes);
Result<> guest_pci_write(Domain& d, u32 address, u32 offset, u32 bytes, u32 value);

}  // namespace xylem
