/* SPDX-License-Identifier: MIT */
/* u64 efi_call(entry, a, b, c, d, e): from our calling convention to the firmware's (Microsoft x64): arguments in rcx, rdx, r8, r9
   and on the stack behind 32 bytes of home space; rsi and rdi are the callee's to keep. */
    .section .text, "ax", @progbits
    .globl efi_call
efi_call:
    pushq %rbp
    movq  %rsp, %rbp
    andq  $-16, %rsp
    subq  $48, %rsp
    movq  %r9, 32(%rsp)
    movq  %rdi, %rax
    movq  %r8, %r9
    movq  %rcx, %r8
    movq  %rsi, %rcx
    cld
    call  *%rax             /* rdx is the second argument in both */
    movq  %rbp, %rsp
    popq  %rbp
    ret
