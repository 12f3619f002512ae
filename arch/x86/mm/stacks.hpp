// SPDX-License-Identifier: MIT
// Hypervisor stacks: blocks of STACK_BYTES, mapped with unmapped pages below, so that an overflow faults.
#pragma once

namespace xylem {

// Null when out of memory. Interrupts on and no locks, except while the machine starts.
void* allocate_stack();

// Gives the frames back; the addresses wait for the next stack. Nothing may run on it. Any context; takes the frame allocator's
// lock.
void release_stack(void* block);

}  // namespace xylem
