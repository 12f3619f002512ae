// SPDX-License-Identifier: MIT
#pragma once

#include "abi/errno.hpp"
#include "abi/xen.hpp"

namespace xylem::control {

// XEN_SYSCTL_readconsole: copies the console ring to the caller, and forgets it where asked to.
Result<> read_console(xen_sysctl_readconsole& op);
// XEN_SYSCTL_debug_keys: presses the caller's keys as if they were typed at the hypervisor's console.
Result<> press_debug_keys(const xen_sysctl_debug_keys& op);

}  // namespace xylem::control
