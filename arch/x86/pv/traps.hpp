// SPDX-License-Identifier: MIT
#pragma once

#include "arch/x86/domain/arch_vcpu.hpp"

namespace xylem::pv {

// The way to the guest faulted: on selectors, addresses or flags that it asked for itself.
void deliver_iret_fault(ArchVcpu& v, u32 vector, u32 error, u64 fault_address);

// An exception (or int 0x80) raised by the running PV guest; registers in v.guest. Interrupts on.
void handle_exception(ArchVcpu& v, u32 vector, u64 fault_address);

// Instruction bytes at the guest's rip; returns how many could be read.
u32 fetch(ArchVcpu& v, u8* to, u32 bytes);

}  // namespace xylem::pv
