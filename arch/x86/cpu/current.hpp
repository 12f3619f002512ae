// SPDX-License-Identifier: MIT
// Who runs here: the vCPU whose hypervisor stack the CPU is on.
#pragma once

#include "arch/x86/entry/offsets.h"
#include "base/types.hpp"

namespace xylem {

struct ArchVcpu;

inline ArchVcpu& current_arch() {
    u64 sp;
    asm volatile("mov %%rsp,%0" : "=r"(sp));
    return *reinterpret_cast<ArchVcpu*>((sp | STACK_MASK) + 1 - ARCH_VCPU_BYTES);
}

}  // namespace xylem
