/* SPDX-License-Identifier: MIT */
/* u64 smap_test_run(entry, stack): enters ring 3 there and comes back with the number of the exception that ends the stay. */
    .section .text, "ax", @progbits
    .globl smap_test_run, smap_test_page_fault, smap_test_invalid_opcode, smap_test_other
smap_test_run:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq  %rsp, smap_test_stack(%rip)
    pushq $0x1b                         /* selectors: smap_test.cpp */
    pushq %rsi
    pushq $2
    pushq $0x23
    pushq %rdi
    iretq
smap_test_page_fault:
    movl  $14, %eax
    jmp   1f
smap_test_invalid_opcode:
    movl  $6, %eax
    jmp   1f
smap_test_other:
    movl  $255, %eax
1:  movq  smap_test_stack(%rip), %rsp
    popq  %r15
    popq  %r14
    popq  %r13
    popq  %r12
    popq  %rbx
    popq  %rbp
    ret

    .section .bss, "aw", @nobits
    .balign 8
smap_test_stack: .skip 8
