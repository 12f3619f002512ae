// SPDX-License-Identifier: MIT
// Building dom0: memory, kernel, page tables, start_info [ABI.md 1.2].
#pragma once

#include "arch/x86/mm/early_memory.hpp"
#include "core/domain/domain.hpp"
#include "init/boot_info.hpp"
#include "init/dom0/image/elf.hpp"
#include "init/dom0/image/notes.hpp"
#include "init/options.hpp"

namespace xylem::dom0 {

// The kernel, unpacked into memory of its own. Panics with the reason where the module is no kernel we can start.
struct UnpackedKernel {
    std::span<const u8> bytes;  // direct map
    Maddr start{};              // what to give back when the segments are loaded
    u64 size = 0;
};
UnpackedKernel unpack_kernel(const BootModule& module, EarlyMemory& memory);

// Makes domain 0 from it, its vCPU 0 ready to run. Panics with the reason where it cannot be.
Domain& build(const UnpackedKernel& kernel, const BootInfo& boot, const Options& options);

}  // namespace xylem::dom0
