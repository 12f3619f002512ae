// SPDX-License-Identifier: MIT
#pragma once

namespace xylem {

// Gives the console its debug keys.
void start_debug_keys();

}  // namespace xylem
