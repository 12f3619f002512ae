// SPDX-License-Identifier: MIT
// The kernel's start. A guest defines guest_main; when it returns the domain ends (a dom0 restarts the machine).
#pragma once

#include <string_view>

#include "abi/xen.hpp"

namespace xylem::kit {

void guest_main();

const start_info_t& start_info();
bool is_dom0();
std::string_view command_line();
// The value of NAME=VALUE on the command line, "" without it.
std::string_view option(std::string_view name);

// Registers at the first instruction, as far as a start leaves them: the boot stack's end.
u64 boot_stack_pointer();

}  // namespace xylem::kit
