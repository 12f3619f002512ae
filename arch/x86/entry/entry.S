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
    IST_STUB nmi_stub, 2, 0
    IST_STUB double_fault_stub, 8, 1
    IST_STUB machine_check_stub, 18, 0

/* --- syscall: the per-CPU stub has switched to the vCPU's stack and pushed ss and rsp ---------------------------------------- */

    .balign 16
    .globl syscall_entry
syscall_entry:
    pushq %r11
    pushq $GUEST_CS64
    pushq %rcx
    pushq $0
    movl $FRAME_BY_SYSCALL, 4(%rsp)
    PUSH_REGISTERS
    cmpb $0, TOP_KERNEL_MODE(%rsp)
    je   syscall_from_user
    sti
    cmpl $HYPERCALL_COUNT, %eax
    jae  1f
    movl %eax, %eax
    movq %r10, %rcx
    leaq hypercall_entries(%rip), %r11
    call *(%r11,%rax,8)
2:  movq %rax, FRAME_RAX(%rsp)
    cli
    jmp  exit_to_guest
1:  movq $-38, %rax                     /* ENOSYS */
    jmp  2b

syscall_from_user:
    movq %rsp, %rdi
    call pv_syscall_from_user
    /* fall through */

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
