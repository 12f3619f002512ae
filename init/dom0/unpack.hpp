// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "arch/x86/mm/early_memory.hpp"
#include "init/boot_info.hpp"

namespace xylem::dom0 {

// The kernel, unpacked into memory of its own. Panics with the reason where the module is no kernel we can start.
struct UnpackedKernel {
    std::span<const u8> bytes;  // direct map
    Maddr start{};              // what to give back when the segments are loaded
    u64 size = 0;
};
UnpackedKernel unpack_kernel(const BootModule& module, EarlyMemory& memory);

}  // namespace xylem::dom0
