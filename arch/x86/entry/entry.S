/* SPDX-License-Identifier: MIT */
/* The ways into and out of the hypervisor. Every way in leaves a struct Frame on the current vCPU's own stack and calls C++;
   every way back to a guest goes through exit_to_guest. See docs/paths. */

#include "arch/x86/entry/offsets.h"

    .section .text.entry, "ax", @progbits
    .code64

/* Patched to `clac` at start where the CPU has SMAP: the guest chose EFLAGS.AC. */
.macro CLEAR_AC
9990:
    .byte 0x0f, 0x1f, 0x00
    .pushsection .smap_sites, "a", @progbits
    .quad 9990b
    .popsection
.endm

.macro SET_AC
9992:
    .byte 0x0f, 0x1f, 0x00
    .pushsection .smap_sites, "a", @progbits
    .quad 9992b + (1 << 63)             /* the flipped top bit tells `stac` from `clac` */
    .popsection
.endm

/* An access to guest memory; where it faults, `fixup` goes on. */
.macro GUEST fixup:req, instruction:vararg
9993:
    \instruction
    .pushsection .exception_table, "a", @progbits
    .quad 9993b, \fixup
    .popsection
.endm

.macro PUSH_REGISTERS
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %rax
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
.endm

.macro POP_REGISTERS
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rax
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi
.endm

/* --- IDT entries: 256 stubs of 16 bytes, then one common path ------------------------------------------------------------ */

    .balign 16
    .globl vector_stubs
vector_stubs:
    vector = 0
    .rept 256
    .balign 16
    .if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21)
    /* the CPU pushed an error code */
    .else
    pushq $0
    .endif
    movl $vector, 4(%rsp)
    jmp common_entry
    vector = vector + 1
    .endr

    .balign 16
common_entry:
    CLEAR_AC
    cld
    PUSH_REGISTERS
    movq %rsp, %rdi
    testb $3, FRAME_CS(%rsp)
    jz   1f
    call handle_from_guest
    jmp  exit_to_guest
1:  call handle_from_hypervisor
    testq %rax, %rax
    jnz  2f
    POP_REGISTERS
    addq $8, %rsp
    iretq
2:  movq %rax, %rsp                     /* the guest's iret failed: its frame, with the failsafe callback in it */
    jmp  exit_to_guest

/* NMI, double fault, machine check: on stacks of their own, straight back to where they came from. */
    .macro IST_STUB name, vector, has_error
    .balign 16
    .globl \name
\name:
    .if !\has_error
    pushq $0
    .endif
    movl $\vector, 4(%rsp)
    CLEAR_AC
    cld
    PUSH_REGISTERS
    movq %rsp, %rdi
    call handle_on_own_stack
    POP_REGISTERS
    addq $8, %rsp
    iretq
    .endm
/* Debug traps have a stack of their own, too: `mov ss` can hold one back until `syscall` has entered with the guest's rsp [XSA-260].
   Those from guest code move to the vCPU's stack and go on as any exception. */
    .balign 16
    .globl debug_stub
debug_stub:
    pushq $0
    movl $1, 4(%rsp)
    testb $3, FRAME_CS - FRAME_ERROR_CODE(%rsp)
    jnz  1f
    CLEAR_AC
    cld
    PUSH_REGISTERS
    movq %rsp, %rdi
    call handle_own_debug_trap
    POP_REGISTERS
    addq $8, %rsp
    iretq
1:  pushq %rax
    pushq %rcx
    movq 16 + TOP_CPU - FRAME_ERROR_CODE(%rsp), %rax
    movq CPU_ENTRY_STACK(%rax), %rax    /* the end of the vCPU's frame */
    slot = 0
    .rept 6
    movq 16 + slot(%rsp), %rcx
    movq %rcx, FRAME_ERROR_CODE - FRAME_BYTES + slot(%rax)
    slot = slot + 8
    .endr
    popq %rcx
    xchgq %rax, (%rsp)                  /* rax is the guest's again, the stack's top its new stack */
    movq (%rsp), %rsp
    leaq FRAME_ERROR_CODE - FRAME_BYTES(%rsp), %rsp
    jmp  common_entry

    IST_STUB nmi_stub, 2, 0
    IST_STUB double_fault_stub, 8, 1
    IST_STUB machine_check_stub, 18, 0

/* --- syscall: the per-CPU stub has switched to the vCPU's stack and pushed ss and rsp ---------------------------------------- */

    .balign 16
    .globl syscall_entry
syscall_entry:
/* The frame from here: ss and the guest's rsp are in place, rsp points at the latter; the rest of the frame lies below. */
#define AT(offset) (offset - FRAME_RSP)(%rsp)
    cmpb $0, AT(TOP_KERNEL_MODE)
    je   system_call
    cmpq $HYPERCALL_IRET, %rax
    je   fast_iret
general_hypercall:
    pushq %r11
    pushq $GUEST_CS64
    pushq %rcx
    pushq $0
    movl $FRAME_BY_SYSCALL, 4(%rsp)
    PUSH_REGISTERS
    sti
    cmpq $HYPERCALL_COUNT, %rax
    jae  1f
    /* The flight recorder (core/recorder/ring.hpp): number and first argument. An interrupt takes the next place. */
    movq TOP_CPU(%rsp), %r11
    movq CPU_RECORDER(%r11), %r11
    movl $RECORDER_EVENT_BYTES, %ecx
    xaddq %rcx, RECORDER_WRITTEN(%r11)
    andl $RECORDER_OFFSET_MASK, %ecx
    movq %rax, RECORDER_EVENTS(%r11,%rcx)
    movq %rdi, RECORDER_EVENTS + 8(%r11,%rcx)
    movq %r10, %rcx
    leaq hypercall_entries(%rip), %r11
    call *(%r11,%rax,8)
hypercall_return:
    cli
    movq TOP_CPU(%rsp), %rcx
    movq TOP_VCPU(%rsp), %rdx
    movl CPU_NEED_WORK(%rcx), %ecx
    orl  VCPU_PENDING_WORK(%rdx), %ecx
    movq VCPU_INFO(%rdx), %rdx
    jnz  2f
    cmpb $0, (%rdx)                     /* evtchn_upcall_pending */
    jne  3f
    /* Straight back, if nobody changed where to. C++ kept rbx, rbp and r12-r15. An address of the upper half that `syscall` was
       executed at is canonical. */
4:  cmpl $FRAME_BY_SYSCALL, FRAME_VECTOR(%rsp)
    jne  2f
    movq FRAME_RIP(%rsp), %rcx
    testq %rcx, %rcx
    jns  2f
    movq FRAME_R10(%rsp), %r10
    movq FRAME_R9(%rsp), %r9
    movq FRAME_R8(%rsp), %r8
    movq FRAME_RDX(%rsp), %rdx
    movq FRAME_RSI(%rsp), %rsi
    movq FRAME_RDI(%rsp), %rdi
    movq FRAME_RFLAGS(%rsp), %r11
    movq FRAME_RSP(%rsp), %rsp
    sysretq
3:  cmpb $0, 1(%rdx)                    /* evtchn_upcall_mask */
    jne  4b
2:  movq %rax, FRAME_RAX(%rsp)
    jmp  exit_to_guest
1:  movq $-38, %rax                     /* ENOSYS */
    jmp  hypercall_return

/* syscall of 32-bit code (AMD only; Intel's CPUs refuse it): the general way. */
    .balign 16
    .globl syscall32_entry
syscall32_entry:
    pushq %r11
    pushq $GUEST_CS32
    pushq %rcx
    pushq $0
    movl $FRAME_BY_SYSCALL, 4(%rsp)
    PUSH_REGISTERS
    movq %rsp, %rdi
    call pv_syscall32
    jmp  exit_to_guest

/* A guest program's system call becomes the guest kernel's: its frame goes straight to the kernel's stack. Nothing else needs a
   look: whoever makes work for this CPU also interrupts it, and interrupts are off until sysret. */
    .balign 16
system_call:
    movq %rdx, AT(FRAME_RDX)
    movq %rax, AT(FRAME_RAX)
    cmpq $0, AT(TOP_SYSCALL_ADDRESS)
    je   system_call_by_frame
    movq AT(TOP_KERNEL_SP), %rdx
    andq $-16, %rdx
    leaq -56(%rdx), %rax
    shrq $HYPERVISOR_RANGE_BITS, %rax
    cmpl $HYPERVISOR_RANGE, %eax
    je   system_call_by_frame
    movb $1, AT(TOP_KERNEL_MODE)
    swapgs
    movq AT(TOP_KERNEL_ROOT), %rax
    movq %rax, AT(TOP_LOADED_ROOT)
    movq %rax, %cr3
    SET_AC
    GUEST bad_kernel_stack, movq %rcx, -56(%rdx)
    GUEST bad_kernel_stack, movq %r11, -48(%rdx)
    GUEST bad_kernel_stack, movq %rcx, -40(%rdx)
    movq AT(FRAME_RSP), %rax
    GUEST bad_kernel_stack, movq %rax, -16(%rdx)
    GUEST bad_kernel_stack, movq $GUEST_DS, -8(%rdx)
    /* Its flags: interrupts on where events are not masked; the mask itself goes above cs. */
    andl $~(RFLAGS_INTERRUPTS | RFLAGS_IOPL), %r11d
    movq AT(TOP_VCPU), %rax
    movq VCPU_INFO(%rax), %rax
    cmpb $0, 1(%rax)
    movl $GUEST_CS64, %eax
    jne  2f
    orl  $RFLAGS_INTERRUPTS, %r11d
1:  GUEST bad_kernel_stack, movq %rax, -32(%rdx)
    GUEST bad_kernel_stack, movq %r11, -24(%rdx)
    CLEAR_AC
    cmpb $0, AT(TOP_SYSCALL_MASKS)
    jne  3f
4:  andl $~RFLAGS_CLEARED_ON_ENTRY, %r11d
    orl  $RFLAGS_INTERRUPTS, %r11d
    movq AT(TOP_SYSCALL_ADDRESS), %rcx
    subq $56, %rdx
    movq %rdx, AT(FRAME_RSP)
    movq AT(FRAME_RAX), %rax
    movq AT(FRAME_RDX), %rdx
    movq AT(FRAME_RSP), %rsp
    sysretq
2:  btsq $32, %rax
    jmp  1b
3:  movq AT(TOP_VCPU), %rax
    movq VCPU_INFO(%rax), %rax
    movb $1, 1(%rax)
    jmp  4b

/* No handler, or a stack that cannot be one: back to user mode, and C++ does it all again and decides what becomes of the guest. */
bad_kernel_stack:
    CLEAR_AC
    movb $0, AT(TOP_KERNEL_MODE)
    swapgs
system_call_by_frame:
    movq AT(FRAME_RDX), %rdx
    movq AT(FRAME_RAX), %rax
    pushq %r11
    pushq $GUEST_CS64
    pushq %rcx
    pushq $0
    movl $FRAME_BY_SYSCALL, 4(%rsp)
    PUSH_REGISTERS
    movq %rsp, %rdi
    call pv_syscall_from_user
    jmp  exit_to_guest

/* iret, the guest kernel's hypercall: all registers but rax, rcx and r11 stay as they are. Where anything is out of the ordinary
   (work pending, an event to deliver, an unreadable stack) the general path does it all again from the start. */
    .balign 16
fast_iret:
    movq %rdx, AT(FRAME_RDX)
    movq AT(TOP_CPU), %rax
    movq AT(TOP_VCPU), %rdx
    movl CPU_NEED_WORK(%rax), %eax
    orl  VCPU_PENDING_WORK(%rdx), %eax
    jnz  slow_iret
    cmpb $0, AT(TOP_NMI_IN_PROGRESS)
    jne  slow_iret
    movq AT(FRAME_RSP), %rcx
    movq %rcx, %rax
    shrq $HYPERVISOR_RANGE_BITS, %rax
    cmpl $HYPERVISOR_RANGE, %eax
    je   slow_iret
    movq VCPU_INFO(%rdx), %rdx
    SET_AC
    GUEST iret_fault, movq 24(%rcx), %rax
    testl $IN_SYSCALL_FLAG, %eax
    jnz  iret_fault
    GUEST iret_fault, movq 48(%rcx), %r11
    GUEST iret_fault, movq 32(%rcx), %rax
    movq %rax, AT(FRAME_RIP)
    testl $RFLAGS_INTERRUPTS, %r11d
    setz 1(%rdx)                        /* evtchn_upcall_mask */
    jz   1f
    cmpb $0, (%rdx)
    jne  iret_fault
1:  andl $~RFLAGS_CLEARED_BY_IRET, %r11d
    orl  $RFLAGS_INTERRUPTS | 2, %r11d
    movq %r11, AT(FRAME_RFLAGS)
    GUEST iret_fault, movq 8(%rcx), %r11
    GUEST iret_fault, movq (%rcx), %rax
    movq %rax, AT(FRAME_RAX)
    GUEST iret_fault, movq 16(%rcx), %rax
    movq %rax, AT(FRAME_RCX)
    GUEST iret_fault, movzwl 64(%rcx), %eax
    orl  $3, %eax
    movq %rax, AT(FRAME_SS)
    GUEST iret_fault, movzwl 40(%rcx), %edx
    GUEST iret_fault, movq 56(%rcx), %rcx
    CLEAR_AC
    movl %edx, %eax
    orl  $3, %eax
    cmpl %eax, %edx
    movq %rax, AT(FRAME_CS)
    jne  2f
    movq AT(TOP_USER_ROOT), %rax
    testq %rax, %rax
    jz   slow_iret
    movb $0, AT(TOP_KERNEL_MODE)
    swapgs
    movq %rax, AT(TOP_LOADED_ROOT)
    movq %rax, %cr3
2:  movq %rcx, AT(FRAME_RSP)
    movq AT(FRAME_RDX), %rdx
    movq AT(FRAME_RAX), %rax
    movq AT(FRAME_RCX), %rcx
    subq $FRAME_RSP - FRAME_RIP, %rsp
    jmp  guest_iret

iret_fault:
    CLEAR_AC
slow_iret:
    movq AT(FRAME_RDX), %rdx
    movl $HYPERCALL_IRET, %eax
    jmp  general_hypercall

/* --- back to the guest: interrupts are off, rsp = the frame --------------------------------------------------------------------- */

    .globl exit_to_guest
exit_to_guest:
    movq TOP_CPU(%rsp), %rax
    movq TOP_VCPU(%rsp), %rcx
    movl CPU_NEED_WORK(%rax), %eax
    orl  VCPU_PENDING_WORK(%rcx), %eax
    jnz  1f
    movq VCPU_INFO(%rcx), %rcx
    cmpb $0, (%rcx)                     /* evtchn_upcall_pending */
    je   2f
    cmpb $0, 1(%rcx)                    /* evtchn_upcall_mask */
    jne  2f
1:  movq %rsp, %rdi
    call exit_work
    jmp  exit_to_guest

2:  cmpl $FRAME_BY_SYSCALL, FRAME_VECTOR(%rsp)
    jne  return_by_iret
    /* sysret: only to the flat selectors, and never to an address that is not canonical (the CPU may fault on our side) */
    movq FRAME_RIP(%rsp), %rcx
    movq %rcx, %rax
    sarq $47, %rax
    incq %rax
    cmpq $1, %rax
    ja   return_by_iret
    cmpw $GUEST_CS64, FRAME_CS(%rsp)
    jne  return_by_iret
    POP_REGISTERS
    movq FRAME_RIP - FRAME_ERROR_CODE(%rsp), %rcx
    movq FRAME_RFLAGS - FRAME_ERROR_CODE(%rsp), %r11
    movq FRAME_RSP - FRAME_ERROR_CODE(%rsp), %rsp
    sysretq

return_by_iret:
    POP_REGISTERS
    addq $8, %rsp
    .globl guest_iret
guest_iret:
    iretq

/* --- stack switch ------------------------------------------------------------------------------------------------------------ */

/* void switch_stacks(u64* save_rsp, u64 load_rsp, void* argument): saves what C++ wants kept and continues on the other stack;
   `argument` arrives there as the return value of its switch_stacks. */
    .globl switch_stacks
switch_stacks:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    movq %rdx, %rax
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

/* First instruction of a new vCPU: rax = the vCPU that ran before. */
    .globl new_vcpu_start
new_vcpu_start:
    movq %rax, %rdi
    call finish_first_switch
    movq %rsp, %rax
    andq $~STACK_MASK, %rax
    leaq STACK_BYTES - ARCH_VCPU_BYTES + 8(%rax), %rsp
    cli
    jmp  exit_to_guest
