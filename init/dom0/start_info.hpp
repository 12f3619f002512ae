// SPDX-License-Identifier: MIT
#pragma once

#include "core/domain/domain.hpp"
#include "init/boot_info.hpp"
#include "init/dom0/layout.hpp"

namespace xylem::dom0 {

// Writes dom0's start_info page (zeroed first). `pages`: all of its memory. `further_arguments` for its kernel come after the
// module's own.
void fill_start_info(void* page, const Layout& l, u64 pages, const Domain& d, const BootInfo& boot,
                     std::string_view further_arguments);

}  // namespace xylem::dom0
