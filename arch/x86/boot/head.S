/* SPDX-License-Identifier: MIT */
/* Multiboot 1 and 2 entry: 32-bit protected mode without paging, to 64-bit mode at the hypervisor's own addresses. */

#define IMAGE_BASE 0xffff818000000000   /* layout::image_start: the image lies at IMAGE_BASE + physical address */
#define PA(symbol) ((symbol) - IMAGE_BASE)

#define MB1_MAGIC 0x1badb002
#define MB1_FLAGS 0x00000003            /* modules on page boundaries, memory information */
#define MB2_MAGIC 0xe85250d6

    .section .boot.header, "a", @progbits
    .balign 8
multiboot1_header:
    .long MB1_MAGIC, MB1_FLAGS, -(MB1_MAGIC + MB1_FLAGS)

    .balign 8
multiboot2_header:
    .long MB2_MAGIC, 0, multiboot2_end - multiboot2_header
    .long -(MB2_MAGIC + (multiboot2_end - multiboot2_header))
    /* module alignment */
    .balign 8
    .short 6, 0
    .long 8
    /* consoles we know: text screens (flag 2: EGA text supported), and a linear frame buffer for dom0 where there is no text;
       width, height and depth as the loader likes */
    .balign 8
    .short 4, 1
    .long 12, 2
    .balign 8
    .short 5, 1
    .long 20, 0, 0, 0
    /* what we like to be told: memory map (6), EFI system table (12), ACPI (14, 15), EFI memory map (17); optional */
    .balign 8
    .short 1, 1
    .long 28
    .long 6, 12, 14, 15, 17
    .balign 8
    .short 0, 0
    .long 8
multiboot2_end:

    .section .boot.text, "ax", @progbits
    .code32
    .globl boot_entry
boot_entry:
    cli
    cld
    movl %eax, %ebp                     /* loader's magic */
    movl %ebx, %edi                     /* loader's information */
    movl $PA(boot_stack_end), %esp

    /* Is this a CPU we can run on? */
    movl $PA(no_long_mode), %esi
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb   refuse
    movl $0x80000001, %eax
    cpuid
    btl  $29, %edx
    jnc  refuse
    movl $PA(no_nx), %esi
    btl  $20, %edx
    jnc  refuse

    /* Page tables: identity and direct map of the first 4 GiB with 2 MiB pages, the image in its own slot. */
    movl $PA(boot_l2), %ebx
    movl $0x000001e3, %eax              /* present, writable, accessed, dirty, 2 MiB, global */
    movl $2048, %ecx
1:  movl %eax, (%ebx)
    movl $0, 4(%ebx)
    addl $0x200000, %eax
    addl $8, %ebx
    loop 1b
    movl $PA(boot_l3), %ebx
    movl $PA(boot_l2) + 0x23, %eax
    movl $4, %ecx
2:  movl %eax, (%ebx)
    addl $0x1000, %eax
    addl $8, %ebx
    loop 2b
    movl $PA(boot_l3) + 0x23, PA(hypervisor_l4)              /* identity, for the jump only */
    movl $PA(boot_l3) + 0x23, PA(hypervisor_l4) + 259 * 8
    movl $PA(boot_l3) + 0x23, PA(hypervisor_l4) + 261 * 8

    call enter_long_mode
    ljmpl $0x08, $PA(long_mode)

/* Turns paging and long mode on with hypervisor_l4; clobbers eax, ecx, edx. Also loads the boot GDT. */
enter_long_mode:
    movl $0x000000a0, %eax              /* CR4: PAE, PGE */
    movl %eax, %cr4
    movl $PA(hypervisor_l4), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl  $0x00000901, %eax              /* EFER: SCE, LME, NXE */
    wrmsr
    movl $0x80010033, %eax              /* CR0: PG, WP, NE, ET, MP, PE */
    movl %eax, %cr0
    lgdt PA(boot_gdt_pointer)
    ret

/* esi: text. Says it on COM1 and the text screen, then stops. */
refuse:
    movl $0xb8000, %edi
3:  lodsb
    testb %al, %al
    jz   5f
    movb %al, %bl
    movb $0x4f, %ah
    stosw
    movw $0x3fd, %dx
    movl $100000, %ecx
4:  inb  %dx, %al
    testb $0x20, %al
    loopz 4b
    movw $0x3f8, %dx
    movb %bl, %al
    outb %al, %dx
    jmp  3b
5:  cli
    hlt
    jmp  5b

no_long_mode: .asciz "Xylem: this CPU has no 64-bit mode; a 64-bit x86 CPU is needed. Stopped.\r\n"
no_nx:        .asciz "Xylem: this CPU has no NX (no-execute), or the firmware hides it; enable it in the firmware setup. Stopped.\r\n"

    .code64
long_mode:
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movabsq $6f, %rax
    jmp  *%rax
6:  leaq boot_stack_top(%rip), %rsp
    movl %edi, %esi                     /* second argument: information */
    movl %ebp, %edi                     /* first: magic */
    xorl %ebp, %ebp
    call start_boot_cpu
    ud2

    .section .boot.data, "aw", @progbits
    .balign 16
    .globl boot_gdt
boot_gdt:
    .quad 0
    .quad 0x00209b0000000000            /* 0x08: 64-bit code */
    .quad 0x00cf93000000ffff            /* 0x10: data */
    .quad 0x00cf9b000000ffff            /* 0x18: 32-bit code */
boot_gdt_pointer:
    .word . - boot_gdt - 1
    .quad PA(boot_gdt)

    .section .bss.boot, "aw", @nobits
    .balign 4096
    .globl hypervisor_l4
hypervisor_l4: .skip 4096
boot_l3:       .skip 4096
boot_l2:       .skip 4 * 4096
boot_stack:    .skip 32768             /* decompression libraries run on it, too */
boot_stack_end:
boot_stack_top:

/* --- Other CPUs: real mode at a page below 1 MiB, where this code is copied -------------------------------------------- */

    .section .rodata.trampoline, "a", @progbits
    .globl trampoline_start, trampoline_end, trampoline_stack, trampoline_argument
    .code16
trampoline_start:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    xorl %ebx, %ebx
    movw %ax, %bx
    shll $4, %ebx                       /* physical address of this page */
    leal trampoline_gdt - trampoline_start(%ebx), %eax
    movl %eax, trampoline_gdt_pointer - trampoline_start + 2
    leal trampoline32 - trampoline_start(%ebx), %eax
    movl %eax, trampoline_jump - trampoline_start
    leal trampoline64 - trampoline_start(%ebx), %eax
    movl %eax, trampoline_jump64 - trampoline_start
    lgdtl trampoline_gdt_pointer - trampoline_start
    movl $0x11, %eax
    movl %eax, %cr0
    ljmpl *(trampoline_jump - trampoline_start)
    .code32
trampoline32:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %ss
    movl $0x000000a0, %eax
    movl %eax, %cr4
    movl trampoline_cr3 - trampoline_start(%ebx), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl  $0x00000901, %eax
    wrmsr
    movl $0x80010033, %eax
    movl %eax, %cr0
    ljmpl *(trampoline_jump64 - trampoline_start)(%ebx)
    .code64
trampoline64:
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs
    movl %ebx, %ebx
    movq trampoline_stack - trampoline_start(%rbx), %rsp
    movq trampoline_argument - trampoline_start(%rbx), %rdi
    movabsq $start_other_cpu, %rax
    xorl %ebp, %ebp
    call *%rax
    ud2
    .balign 8
trampoline_gdt:
    .quad 0
    .quad 0x00209b0000000000
    .quad 0x00cf93000000ffff
    .quad 0x00cf9b000000ffff
trampoline_gdt_pointer:
    .word . - trampoline_gdt - 1
    .long 0
    .balign 8
trampoline_jump:     .long 0
                     .word 0x18, 0
trampoline_jump64:   .long 0
                     .word 0x08, 0
    .globl trampoline_cr3
trampoline_cr3:      .quad PA(hypervisor_l4)
trampoline_stack:    .quad 0
trampoline_argument: .quad 0
trampoline_end:
