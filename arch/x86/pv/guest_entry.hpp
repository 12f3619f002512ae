// SPDX-License-Identifier: MIT
// Entering the guest kernel: exceptions, events and system calls as frames on its stack [ABI.md 2.1].
#pragma once

#include "arch/x86/domain/arch_vcpu.hpp"

namespace xylem::pv {

// Both switch the vCPU's mode: page tables and the active GS base. Interrupts may be on.
void enter_kernel_mode(ArchVcpu& v);
void enter_user_mode(ArchVcpu& v);

// Delivers exception `vector` to the guest kernel at what its trap table says; the guest is crashed where it cannot be.
void inject(ArchVcpu& v, u32 vector);
void inject_with_error(ArchVcpu& v, u32 vector, u32 error_code);
void inject_page_fault(ArchVcpu& v, u64 address, u32 error_code);

// Delivers the event upcall; masks further ones.
void deliver_event(ArchVcpu& v);
void deliver_nmi(ArchVcpu& v);
// The way back to user mode did not work: tells the kernel at its failsafe entry.
void deliver_failsafe(ArchVcpu& v);

// Returns from a guest kernel handler (hypercall 23): restores what its stack says. The result is the guest's rax.
long hypercall_iret(u64, u64, u64, u64, u64, u64);

}  // namespace xylem::pv
