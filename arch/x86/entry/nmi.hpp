// SPDX-License-Identifier: MIT
// Non-maskable interrupts. They come between any two instructions, whatever is locked: the handler itself says nothing unless the
// machine stops.
#pragma once

#include "arch/x86/domain/per_cpu.hpp"
#include "cpu/frame.hpp"

namespace xylem {

// On the NMI's own stack. Stops this CPU where another one ends the machine, and reports where it is when the watchdog asks. What
// else comes is the hardware's, and left for tell_of_nmi().
void handle_nmi(const Frame& frame);

// The hardware's NMIs since this CPU last looked: logged, and told to dom0 as option `nmi` says. Interrupts off, no locks held.
void tell_of_nmi(PerCpu& cpu);
inline void look_for_nmi(PerCpu& cpu) {
    if (cpu.nmi_came.load(std::memory_order_relaxed)) [[unlikely]]
        tell_of_nmi(cpu);
}

}  // namespace xylem
