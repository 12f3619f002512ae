// SPDX-License-Identifier: MIT
// What the whole hypervisor is made of, once it has started.
#pragma once

#include <span>
#include <string_view>

#include "drivers/acpi/platform_info.hpp"
#include "init/boot_info.hpp"
#include "init/dom0/unpack.hpp"
#include "init/options.hpp"

namespace xylem {

// Written at start only.
struct Hypervisor {
    BootInfo boot;
    init::Options options;
    dom0::UnpackedKernel kernel;
    acpi::PlatformInfo platform;
    bool started = false;  // dom0 exists
};
Hypervisor& hypervisor();

std::string_view command_line();
std::span<const u8> build_id();

}  // namespace xylem
