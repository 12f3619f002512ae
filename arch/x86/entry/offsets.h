/* SPDX-License-Identifier: MIT */
/* Numbers that both assembly and C++ use; arch/x86/entry/offsets.cpp checks each against the C++ structures. */
#pragma once

#define STACK_BYTES 16384
#define STACK_MASK (STACK_BYTES - 1)

/* struct Frame */
#define FRAME_R15 0
#define FRAME_R14 8
#define FRAME_R13 16
#define FRAME_R12 24
#define FRAME_RBP 32
#define FRAME_RBX 40
#define FRAME_R11 48
#define FRAME_R10 56
#define FRAME_R9 64
#define FRAME_R8 72
#define FRAME_RAX 80
#define FRAME_RCX 88
#define FRAME_RDX 96
#define FRAME_RSI 104
#define FRAME_RDI 112
#define FRAME_ERROR_CODE 120
#define FRAME_VECTOR 124
#define FRAME_RIP 128
#define FRAME_CS 136
#define FRAME_RFLAGS 144
#define FRAME_RSP 152
#define FRAME_SS 160
#define FRAME_BYTES 168

/* struct ArchVcpu, the last thing on every hypervisor stack, seen from the frame it holds */
#define ARCH_VCPU_BYTES 1024
#define ARCH_FROM_FRAME (-8)            /* the frame lies 8 bytes into ArchVcpu */
#define TOP_CPU 168                     /* offsets from the frame */
#define TOP_VCPU 176
#define TOP_KERNEL_MODE 184
#define TOP_NMI_IN_PROGRESS 185
#define TOP_KERNEL_SP 192
#define TOP_KERNEL_ROOT 200
#define TOP_USER_ROOT 208
#define TOP_LOADED_ROOT 216
#define TOP_SYSCALL_ADDRESS 224
#define TOP_SYSCALL_MASKS 232           /* struct Callback: address, then mask_events */

/* struct PerCpu */
#define CPU_NEED_WORK 0
#define CPU_ENTRY_STACK 8               /* tss.rsp[0] */
#define CPU_RECORDER 112

/* struct recorder::Ring */
#define RECORDER_WRITTEN 0
#define RECORDER_EVENTS 64
#define RECORDER_EVENT_BYTES 16
#define RECORDER_OFFSET_MASK 0x7ff0     /* 2048 events */

/* struct Vcpu */
#define VCPU_INFO 8
#define VCPU_PENDING_WORK 16

/* selectors of the hypervisor's part of every GDT */
#define HYPERVISOR_CS 0xe008
#define HYPERVISOR_DS 0xe010
#define GUEST_CS32 0xe023
#define GUEST_DS 0xe02b
#define GUEST_CS64 0xe033
#define TSS_SELECTOR 0xe040
#define LDT_SELECTOR 0xe050

#define FRAME_BY_SYSCALL 0x100
#define HYPERCALL_COUNT 64
#define HYPERCALL_IRET 23
#define IN_SYSCALL_FLAG 0x100           /* VGCF_in_syscall */

#define RFLAGS_INTERRUPTS 0x200
#define RFLAGS_IOPL 0x3000
#define RFLAGS_CLEARED_BY_IRET 0x1a3000 /* IOPL, VM, VIF, VIP */
#define RFLAGS_CLEARED_ON_ENTRY 0x74500 /* TF, NT, RF, VM, AC and, for system calls, DF */
#define HYPERVISOR_RANGE_BITS 43        /* addresses whose upper bits are HYPERVISOR_RANGE are ours */
#define HYPERVISOR_RANGE 0x1ffff0
