// SPDX-License-Identifier: MIT
// How a 64-bit PV kernel is entered: the notes that describe it, its first instructions, and the doors of traps and events.
// Frames are those of guest/kit/frame.hpp; what the hypervisor pushes is in ABI 2.1: rcx, r11, [error code], rip, cs, rflags, rsp, ss.
#include "abi/elfnote.hpp"
#include "guest/kit/offsets.h"

#define NOTE_BEGIN(type) \
    .balign 4;           \
    .long 4, 2f - 1f, type; \
    .asciz "Xen";        \
    1:
#define NOTE_END \
    2: .balign 4

    .section .note.Xen, "a", @note
    NOTE_BEGIN(XEN_ELFNOTE_GUEST_OS) .asciz "xylem-kit"; NOTE_END
    NOTE_BEGIN(XEN_ELFNOTE_GUEST_VERSION) .asciz "1"; NOTE_END
    NOTE_BEGIN(XEN_ELFNOTE_XEN_VERSION) .asciz "xen-3.0"; NOTE_END
    NOTE_BEGIN(XEN_ELFNOTE_LOADER) .asciz "generic"; NOTE_END
    NOTE_BEGIN(XEN_ELFNOTE_PAE_MODE) .asciz "yes"; NOTE_END
    NOTE_BEGIN(XEN_ELFNOTE_VIRT_BASE) .quad VIRT_BASE; NOTE_END
    NOTE_BEGIN(XEN_ELFNOTE_PADDR_OFFSET) .quad 0; NOTE_END
    NOTE_BEGIN(XEN_ELFNOTE_ENTRY) .quad kit_entry; NOTE_END
    NOTE_BEGIN(XEN_ELFNOTE_INIT_P2M) .quad KIT_P2M_VA; NOTE_END
    NOTE_BEGIN(XEN_ELFNOTE_MOD_START_PFN) .long 1; NOTE_END
    NOTE_BEGIN(XEN_ELFNOTE_SUSPEND_CANCEL) .long 1; NOTE_END
    NOTE_BEGIN(XEN_ELFNOTE_L1_MFN_VALID) .quad 1, 1; NOTE_END
    NOTE_BEGIN(XEN_ELFNOTE_SUPPORTED_FEATURES) .long 1 << XENFEAT_dom0 | 1 << XENFEAT_writable_page_tables; NOTE_END

    .text
    boot_slot = 0
    .globl kit_entry
kit_entry:
    .irp register, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
        mov %\register, kit_boot_registers + boot_slot(%rip)
        boot_slot = boot_slot + 8
    .endr
    mov %cs, kit_boot_registers + 136(%rip)
    mov %ss, kit_boot_registers + 138(%rip)
    mov %ds, kit_boot_registers + 140(%rip)
    mov %es, kit_boot_registers + 142(%rip)
    mov %fs, kit_boot_registers + 144(%rip)
    mov %gs, kit_boot_registers + 146(%rip)
    pushf                              // on the builder's stack, which is ours
    pop kit_boot_registers + 128(%rip)
    lea kit_boot_stack_end(%rip), %rsp
    mov %rsi, %rdi
    xor %ebp, %ebp
    call kit_start
    ud2

// A further vCPU starts here on its own stack; rdi is its number.
    .globl kit_vcpu_entry
kit_vcpu_entry:
    xor %ebp, %ebp
    call kit_vcpu_start
    ud2

// What is on the stack at `common`: rax, r11, rcx, error code | vector << 32, rip, cs, rflags, rsp, ss.
.macro without_code vector
    mov (%rsp), %rcx
    mov 8(%rsp), %r11
    movl $0, 8(%rsp)
    movl $\vector, 12(%rsp)
    mov %rcx, (%rsp)
    push %r11
    push %rax
    jmp common
.endm
.macro with_code vector
    push %rax
    mov 8(%rsp), %rcx
    mov 16(%rsp), %r11
    mov %r11, 8(%rsp)
    mov %rcx, 16(%rsp)
    movl $\vector, 28(%rsp)
    jmp common
.endm

common:
    push %rdi
    push %rsi
    push %rdx
    push %r8
    push %r9
    push %r10
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rdi
    mov %rsp, %rbx
    and $-16, %rsp
    cld
    call kit_on_trap
    mov %rbx, %rsp
    .globl kit_return
kit_return:                            // rsp: the frame to return to
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    pop %r10
    pop %r9
    pop %r8
    pop %rdx
    pop %rsi
    pop %rdi
    movq $0, 24(%rsp)                  // flags of iret: none, so that rcx and r11 come back from the frame
    mov $KIT_HYPERCALL_IRET, %eax
    syscall
    ud2

// Resumes a frame that is not on this stack (user mode, kit_try's landing): rdi = Frame*.
    .globl kit_resume
kit_resume:
    mov %rdi, %rsp
    jmp kit_return

.altmacro
.macro stub vector
    .balign KIT_STUB_SIZE
    .globl kit_stub_\vector
kit_stub_\vector:
    .if \vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17 || \vector == 21
        with_code \vector
    .else
        without_code \vector
    .endif
.endm
    .balign KIT_STUB_SIZE
    .globl kit_stubs
kit_stubs:
    vector = 0
    .rept 256
        stub %vector
        vector = vector + 1
    .endr
    .globl kit_event_entry, kit_syscall_entry, kit_syscall32_entry, kit_sysenter_entry, kit_failsafe_entry, kit_nmi_entry
kit_event_entry:
    without_code KIT_CODE_EVENT
kit_syscall_entry:
    without_code KIT_CODE_SYSCALL
kit_syscall32_entry:
    without_code KIT_CODE_SYSCALL32
kit_sysenter_entry:
    without_code KIT_CODE_SYSENTER
kit_nmi_entry:
    without_code 2

// rcx, r11, ds, es, fs, gs, rip, ...: the four selectors are kept aside, the rest becomes a frame without error code.
kit_failsafe_entry:
    mov (%rsp), %rcx
    mov 8(%rsp), %r11
    push %rax
    mov 24(%rsp), %rax
    mov %ax, kit_failsafe_selectors(%rip)
    mov 32(%rsp), %rax
    mov %ax, kit_failsafe_selectors + 2(%rip)
    mov 40(%rsp), %rax
    mov %ax, kit_failsafe_selectors + 4(%rip)
    mov 48(%rsp), %rax
    mov %ax, kit_failsafe_selectors + 6(%rip)
    pop %rax
    add $48, %rsp                      // rsp: rip. Below it lie six words that are ours again
    movl $0, -8(%rsp)
    movl $KIT_CODE_FAILSAFE, -4(%rsp)
    mov %rcx, -16(%rsp)
    mov %r11, -24(%rsp)
    mov %rax, -32(%rsp)
    sub $32, %rsp
    jmp common

// int kit_try(void (*what)(void*), void* argument, Recovery*): 0 when `what` returned, 1 when a trap led to kit_try_landing.
    .globl kit_try, kit_try_landing
kit_try:
    push %rbp
    mov %rsp, %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    push %rdx
    mov %rsp, (%rdx)                   // Recovery::rsp
    mov %rdi, %rax
    mov %rsi, %rdi
    call *%rax
    xor %eax, %eax
    jmp 1f
kit_try_landing:                       // rsp: as it was at the call
    mov $1, %eax
1:  pop %rdx
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret

    .bss
    .balign 4096
    .globl kit_boot_stack, kit_boot_stack_end, kit_failsafe_selectors, kit_boot_registers
kit_boot_stack:
    .skip KIT_STACK_SIZE
kit_boot_stack_end:
kit_boot_registers:
    .skip 152
kit_failsafe_selectors:
    .skip 8

    .section .note.GNU-stack, "", @progbits
