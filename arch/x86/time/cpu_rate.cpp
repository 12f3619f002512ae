// SPDX-License-Identifier: MIT
#include "arch/x86/time/clock.hpp"
#include "core/port/cpu_info.hpp"

xylem::u32 xylem::port::cpu_khz() {
    return static_cast<u32>(time::tsc_hertz() / 1000);
}
