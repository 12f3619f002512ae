// SPDX-License-Identifier: MIT
// The CPU's interrupt flag and the spin-wait hint.
#pragma once

#include "base/types.hpp"

namespace xylem::cpu {

inline void relax() {
    asm volatile("pause" ::: "memory");
}
inline void irq_disable() {
    asm volatile("cli" ::: "memory");
}
inline void irq_enable() {
    asm volatile("sti" ::: "memory");
}

inline u64 irq_flags() {
    u64 flags;
    asm volatile("pushfq; popq %0" : "=r"(flags)::"memory");
    return flags;
}
inline constexpr u64 flag_interrupts = u64{1} << 9;
inline bool irqs_enabled() {
    return (irq_flags() & flag_interrupts) != 0;
}

// Disables interrupts; the answer goes back into irq_restore.
inline u64 irq_save() {
    const u64 flags = irq_flags();
    irq_disable();
    return flags;
}
inline void irq_restore(u64 flags) {
    if ((flags & flag_interrupts) != 0) irq_enable();
}

}  // namespace xylem::cpu
