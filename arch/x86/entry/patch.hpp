// SPDX-License-Identifier: MIT
#pragma once

#include "arch/x86/domain/arch_vcpu.hpp"

namespace xylem {

// Writes the instructions only some CPUs have into the places kept for them. Boot CPU, while the image is still writable.
void patch_for_this_cpu();

// Continues on a vCPU's stack and does not come back.
[[noreturn]] void run_on_stack(ArchVcpu& top, void (*function)());
// Calls and comes back, on a stack aligned to 16 bytes as libraries expect.
void call_on_aligned_stack(void (*function)(void*), void* argument);

}  // namespace xylem
