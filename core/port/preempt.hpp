// SPDX-License-Identifier: MIT
// The contract for long hypercalls: every vCPU has its own hypervisor stack, so a loop simply offers to stand aside.
#pragma once

namespace xylem::port {

// May switch to another vCPU when a reschedule is due, and return much later. Called with interrupts on and no lock held,
// by a hypercall whose state is consistent: whatever it holds (references, pins) stays held meanwhile.
void preemption_point();

}  // namespace xylem::port
