// SPDX-License-Identifier: MIT
// The end of the machine's day.
#pragma once

#include "abi/errno.hpp"
#include "abi/xen.hpp"

namespace xylem {

// dom0 ran the firmware's sleep methods and asks for the last step. S5 does not return.
Result<> enter_acpi_sleep(const xenpf_enter_acpi_sleep& request);

// SHUTDOWN_* of the hardware domain. With `noreboot` the machine stays halted.
[[noreturn]] void machine_ends(u32 reason);
[[noreturn]] void reboot_machine();

}  // namespace xylem
