// SPDX-License-Identifier: MIT
#pragma once

namespace xylem {

// Gives the console its debug keys.
void start_debug_keys();

// On a vCPU's way to its guest: runs what was typed. Interrupts on.
bool keys_are_waiting();
void run_waiting_keys();

}  // namespace xylem
