// SPDX-License-Identifier: MIT
// The one piece of AML a hypervisor needs: the package \_S5_, which tells what to write to power off.
#pragma once

#include "drivers/acpi/tables.hpp"

namespace xylem::acpi {

// Looks for `Name(_S5_, Package { a, b, ... })` in the AML of a DSDT or SSDT (header included in `table`) and returns the sleep
// types; nullopt where there is no such package of plain numbers. Reads inside `table` only.
std::optional<SleepTypes> find_s5(TableBytes table);

}  // namespace xylem::acpi
