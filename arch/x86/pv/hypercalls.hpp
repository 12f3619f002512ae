// SPDX-License-Identifier: MIT
// The hypercall table of PV guests. Entry code calls through it: six raw arguments, the result goes to rax.
#pragma once

#include <array>

#include "base/types.hpp"

namespace xylem::pv {

using Hypercall = long (*)(u64, u64, u64, u64, u64, u64);

inline constexpr unsigned hypercall_count = 64;
using HypercallTable = std::array<Hypercall, hypercall_count>;
extern "C" const HypercallTable hypercall_entries;

// For logs and reports; "?" where there is none.
const char* hypercall_name(u64 number);

long hypercall_set_trap_table(u64 traps, u64, u64, u64, u64, u64);
long hypercall_stack_switch(u64 ss, u64 sp, u64, u64, u64, u64);
long hypercall_fpu_taskswitch(u64 set, u64, u64, u64, u64, u64);
long hypercall_set_debugreg(u64 reg, u64 value, u64, u64, u64, u64);
long hypercall_get_debugreg(u64 reg, u64, u64, u64, u64, u64);
long hypercall_callback_op(u64 command, u64 arg, u64, u64, u64, u64);
long hypercall_vm_assist(u64 command, u64 type, u64, u64, u64, u64);
long hypercall_multicall(u64 list, u64 count, u64, u64, u64, u64);
long hypercall_platform_op(u64 op, u64, u64, u64, u64, u64);
long hypercall_mca(u64 op, u64, u64, u64, u64, u64);
long hypercall_console_io(u64 command, u64 count, u64 buffer, u64, u64, u64);
long hypercall_xen_version(u64 command, u64 arg, u64, u64, u64, u64);

}  // namespace xylem::pv
