// SPDX-License-Identifier: MIT
// Numbers that assembly and C++ share; guest/kit/traps.cpp asserts that they are true.
#pragma once

#define KIT_P2M_VA 0x8000000000
#define KIT_STACK_SIZE 32768
#define KIT_STUB_SIZE 64
#define KIT_HYPERCALL_IRET 23
#define KIT_CODE_EVENT 0x100
#define KIT_CODE_SYSCALL 0x101
#define KIT_CODE_SYSCALL32 0x102
#define KIT_CODE_SYSENTER 0x103
#define KIT_CODE_FAILSAFE 0x104
