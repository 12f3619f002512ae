// SPDX-License-Identifier: MIT
#include "core/port/cpu_info.hpp"

xylem::u32 xylem::port::cpu_khz() {
    return 2'000'000;
}
