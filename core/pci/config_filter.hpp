// SPDX-License-Identifier: MIT
// The way of a domain to configuration space by ports 0xcf8 and 0xcfc.
#pragma once

#include "abi/errno.hpp"
#include "base/types.hpp"

namespace xylem {
struct Domain;
}

namespace xylem::pci {

// `cf8` is the domain's last write to port 0xcf8, `offset` 0..3 the port's distance from 0xcfc, offset + width <= 4.
// XEN_EPERM: not a hardware domain (the caller answers with all ones). Where the address is not enabled, nobody answers.
Result<u32> guest_config_read(Domain& domain, u32 cf8, u32 offset, u32 width);
// Registers of ours are left out: those of MSI and MSI-X capabilities in use, and all of read-only devices.
Result<> guest_config_write(Domain& domain, u32 cf8, u32 offset, u32 width, u32 value);

}  // namespace xylem::pci
