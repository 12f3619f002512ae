// SPDX-License-Identifier: MIT
// Host stand-in: one thread plays all CPUs, so interrupts are a flag and spinning is a bug the test should see.
#pragma once

#include "base/types.hpp"

namespace xylem::cpu {

inline thread_local bool host_irqs_on = true;

// While one CPU waits the others go on (cpus.cpp); where there are no others it stops instead of hanging.
void relax();
inline void irq_disable() {
    host_irqs_on = false;
}
inline void irq_enable() {
    host_irqs_on = true;
}
inline constexpr u64 flag_interrupts = u64{1} << 9;
inline u64 irq_flags() {
    return host_irqs_on ? flag_interrupts : 0;
}
inline bool irqs_enabled() {
    return host_irqs_on;
}
inline u64 irq_save() {
    const u64 flags = irq_flags();
    irq_disable();
    return flags;
}
inline void irq_restore(u64 flags) {
    host_irqs_on = (flags & flag_interrupts) != 0;
}

}  // namespace xylem::cpu
