// SPDX-License-Identifier: MIT
// Proof that assembly and C++ see the same structures.
#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/domain/per_cpu.hpp"

// Vcpu holds a reference, which makes offsetof conditionally supported; clang supports it.
#pragma clang diagnostic ignored "-Winvalid-offsetof"

namespace xylem {

static_assert(FRAME_BYTES == sizeof(Frame) && FRAME_R15 == offsetof(Frame, r15) && FRAME_RAX == offsetof(Frame, rax));
static_assert(FRAME_ERROR_CODE == offsetof(Frame, error_code) && FRAME_VECTOR == offsetof(Frame, entry_vector));
static_assert(FRAME_RIP == offsetof(Frame, rip) && FRAME_CS == offsetof(Frame, cs) && FRAME_RFLAGS == offsetof(Frame, rflags));
static_assert(FRAME_RSP == offsetof(Frame, rsp) && FRAME_SS == offsetof(Frame, ss));
static_assert(FRAME_BY_SYSCALL == frame_by_syscall);
static_assert(ARCH_FROM_FRAME == -static_cast<int>(offsetof(ArchVcpu, guest)));
static_assert(TOP_CPU == offsetof(ArchVcpu, cpu) - offsetof(ArchVcpu, guest));
static_assert(TOP_VCPU == offsetof(ArchVcpu, vcpu) - offsetof(ArchVcpu, guest));
static_assert(TOP_KERNEL_MODE == offsetof(ArchVcpu, kernel_mode) - offsetof(ArchVcpu, guest));
static_assert(CPU_NEED_WORK == offsetof(PerCpu, work));
static_assert(VCPU_INFO == offsetof(Vcpu, info) && VCPU_PENDING_WORK == offsetof(Vcpu, pending_work));
static_assert(offsetof(vcpu_info, evtchn_upcall_pending) == 0 && offsetof(vcpu_info, evtchn_upcall_mask) == 1);

}  // namespace xylem
