// SPDX-License-Identifier: MIT
// The machine's last instructions.
#pragma once

#include "base/types.hpp"
#include "drivers/acpi/platform_info.hpp"

namespace xylem::power {

// With which method a reboot begins; what fails is followed by the next ones in this order. Option reboot=.
enum class RebootMethod : u8 { acpi, keyboard, pci, triple_fault };

// Maps registers that power_off() and reboot() need but cannot map themselves when the time has come. Boot CPU, once.
void prepare(const acpi::PlatformInfo& info);

// ACPI S5 with the sleep types that the DSDT tells. The other CPUs are stopped already, interrupts are off. Returns only if the
// machine did not go off within a second; the caller then halts or reboots.
void power_off(const acpi::PlatformInfo& info);

// The same with PM1 control register values from dom0, who has run the firmware's AML (platform_op enter_acpi_sleep val_a,
// val_b).
void enter_sleep(const acpi::PlatformInfo& info, u16 pm1a_control, u16 pm1b_control);

// The other CPUs are stopped already; any context.
[[noreturn]] void reboot(const acpi::PlatformInfo& info, RebootMethod method);

}  // namespace xylem::power
