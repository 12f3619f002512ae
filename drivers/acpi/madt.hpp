// SPDX-License-Identifier: MIT
// CPUs and interrupt controllers.
#pragma once

#include "drivers/acpi/platform_info.hpp"
#include "drivers/acpi/tables.hpp"

namespace xylem::acpi {

// Adds what the MADT `table` (at least sizeof(Madt) bytes) lists to `info`; info.sci_irq must be known already. A wrong entry
// ends the list where its length is wrong, else only the entry is left out; both are reported.
void parse_madt(TableBytes table, PlatformInfo& info);

}  // namespace xylem::acpi
