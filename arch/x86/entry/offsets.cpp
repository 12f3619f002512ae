// SPDX-License-Identifier: MIT
// Proof that assembly and C++ see the same structures.
#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/domain/per_cpu.hpp"
#include "cpu/layout.hpp"
#include "hw/x86/registers.hpp"

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
#define TOP_OF(member) (offsetof(ArchVcpu, member) - offsetof(ArchVcpu, guest))
static_assert(TOP_NMI_IN_PROGRESS == TOP_OF(nmi_in_progress) && TOP_KERNEL_SP == TOP_OF(kernel_sp));
static_assert(TOP_KERNEL_ROOT == TOP_OF(kernel_root) && TOP_USER_ROOT == TOP_OF(user_root) &&
              TOP_LOADED_ROOT == TOP_OF(loaded_root));
static_assert(TOP_SYSCALL_ADDRESS == TOP_OF(syscall.address) && TOP_SYSCALL_MASKS == TOP_OF(syscall.mask_events));
static_assert(IN_SYSCALL_FLAG == VGCF_in_syscall && HYPERCALL_IRET == __HYPERVISOR_iret);
static_assert(layout::hypervisor_start >> HYPERVISOR_RANGE_BITS == HYPERVISOR_RANGE);
static_assert(layout::hypervisor_end >> HYPERVISOR_RANGE_BITS == HYPERVISOR_RANGE + 1);
static_assert(RFLAGS_CLEARED_BY_IRET == (x86::rflags::iopl | x86::rflags::vm | x86::rflags::vif | x86::rflags::vip));
static_assert(RFLAGS_CLEARED_ON_ENTRY ==
              (x86::rflags::tf | x86::rflags::nt | x86::rflags::rf | x86::rflags::vm | x86::rflags::ac | x86::rflags::df));
static_assert(CPU_NEED_WORK == offsetof(PerCpu, work) && CPU_ENTRY_STACK == offsetof(PerCpu, tss) + offsetof(TaskState, rsp));
static_assert(CPU_RECORDER == offsetof(PerCpu, recorder));
static_assert(RECORDER_WRITTEN == offsetof(recorder::Ring, written) && RECORDER_EVENTS == offsetof(recorder::Ring, events));
static_assert(RECORDER_EVENT_BYTES == sizeof(recorder::Event) &&
              RECORDER_OFFSET_MASK == (recorder::Ring::capacity - 1) * sizeof(recorder::Event));
static_assert(recorder::Event::make(recorder::Kind::hypercall, 0, 17, 4) == recorder::Event{17, 4});
static_assert(VCPU_INFO == offsetof(Vcpu, info) && VCPU_PENDING_WORK == offsetof(Vcpu, pending_work));
static_assert(offsetof(vcpu_info, evtchn_upcall_pending) == 0 && offsetof(vcpu_info, evtchn_upcall_mask) == 1);

}  // namespace xylem
