// SPDX-License-Identifier: MIT
// From tables to PlatformInfo.
#pragma once

#include "drivers/acpi/platform_info.hpp"
#include "drivers/acpi/tables.hpp"

namespace xylem::acpi {

// Fills `info` (freshly constructed) from what Tables::find returned; called once, on the boot CPU. What is missing or wrong is
// reported in the log and left at its default:
//   no MADT        info.cpus and info.io_apics are empty: the caller goes on with the boot CPU but cannot run dom0 without an
//                  I/O APIC, which is his to report as fatal;
//   no FADT        no PM timer, no power off through ACPI, reset by the keyboard controller;
//   no HPET, MCFG  normal on small machines; said only at debug level.
void read_platform(const Tables& tables, PlatformInfo& info);

}  // namespace xylem::acpi
