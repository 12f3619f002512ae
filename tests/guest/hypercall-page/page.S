// SPDX-License-Identifier: MIT
// One note more than the kit's: the page that the builder is to fill with calls.
#include "abi/elfnote.hpp"

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, XEN_ELFNOTE_HYPERCALL_PAGE
    .asciz "Xen"
    .quad hypercall_page

    .text
    .balign 4096
    .globl hypercall_page
hypercall_page:
    .skip 4096

    .section .note.GNU-stack, "", @progbits
