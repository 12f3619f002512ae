// SPDX-License-Identifier: MIT
// What the whole hypervisor is made of, once it has started.
#pragma once

#include <span>
#include <string_view>

#include "drivers/acpi/platform_info.hpp"
#include "init/boot_info.hpp"
#include "init/options.hpp"

namespace xylem {

// Written at start only.
struct Hypervisor {
    BootInfo boot;
    Options options;
    acpi::PlatformInfo platform;
    u64 wall_clock_at_start = 0;  // nanoseconds since 1970 at system time 0; guarded by wall_clock_lock
    bool started = false;         // dom0 exists
};
Hypervisor& hypervisor();

std::string_view command_line();
std::span<const u8> build_id();

}  // namespace xylem
