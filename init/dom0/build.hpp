// SPDX-License-Identifier: MIT
// Building dom0: memory, kernel, page tables, start_info [ABI.md 1.2].
#pragma once

#include "core/domain/domain.hpp"
#include "init/boot_info.hpp"
#include "init/dom0/image/elf.hpp"
#include "init/dom0/image/notes.hpp"
#include "init/dom0/unpack.hpp"
#include "init/options.hpp"

namespace xylem::dom0 {

// Makes domain 0 from it, its vCPU 0 ready to run. Panics with the reason where it cannot be.
Domain& build(const UnpackedKernel& kernel, const BootInfo& boot, const init::Options& options);

}  // namespace xylem::dom0
