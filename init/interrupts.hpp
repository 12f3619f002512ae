// SPDX-License-Identifier: MIT
#pragma once

#include "base/types.hpp"

namespace xylem {

// A device's interrupt vector arrived on this CPU: acknowledges it and tells whoever it is for. Interrupts off.
void device_interrupt(u8 vector);

}  // namespace xylem
