// SPDX-License-Identifier: MIT
// The firmware's tables, read through machine addresses.
#pragma once

#include "base/result.hpp"
#include "guest/lib/madt.hpp"

namespace xylem::acpi {

Result<const Platform*> platform();

}  // namespace xylem::acpi
