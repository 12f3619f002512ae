// SPDX-License-Identifier: MIT
#pragma once

#include "core/port/guest_cpu.hpp"

namespace xylem::host {

// What the last calls said.
struct GuestCpu {
    u32 iopl = 0;
    u64 bitmap = 0;
    u32 ports = 0;
};
inline GuestCpu guest_cpu;

}  // namespace xylem::host
