// SPDX-License-Identifier: MIT
// Option `watchdog`: CPUs watch each other. Each takes a timer interrupt every second and looks whether the next one did so, too;
// one that did not for `watchdog_timeout` seconds gets an NMI and reports where it hangs. A machine with a single CPU has nobody
// to watch it.
#pragma once

#include "base/types.hpp"
#include "init/options.hpp"

namespace xylem::watchdog {

// Once, when all CPUs run.
void start(const init::Options& options);
// From the NMI handler: whether the NMI is the watchdog's, to this CPU.
bool asks(CpuId cpu);

}  // namespace xylem::watchdog
