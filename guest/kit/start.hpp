// SPDX-License-Identifier: MIT
// The kernel's start. A guest defines guest_main; when it returns the domain ends (a dom0 restarts the machine).
#pragma once

#include <string_view>

#include "abi/xen.hpp"

namespace xylem::kit {

void guest_main();

const start_info_t& boot_info();
bool is_dom0();
std::string_view command_line();
// The value of NAME=VALUE on the command line, "" without it.
std::string_view option(std::string_view name);

// Registers at the first instruction.
struct BootRegisters {
    u64 rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rflags;
    u16 cs, ss, ds, es, fs, gs;
};
const BootRegisters& boot_registers();

}  // namespace xylem::kit
