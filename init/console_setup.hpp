// SPDX-License-Identifier: MIT
// The console's devices, clocks and keys, wired.
#pragma once

#include "init/options.hpp"

namespace xylem {

// Serial port and screen as the options say; before anything else, so that every line is seen.
void start_console(const init::Options& options);
// The ring behind `xl dmesg`, once there is memory; what it has so far is kept.
void size_console_ring(u64 bytes);
// System time runs: stamps may use it.
void start_console_clock();
// dom0 is about to run: serial input by interrupt or polling, the screen is dom0's.
void finish_console_for_dom0();

}  // namespace xylem
