// SPDX-License-Identifier: MIT
#pragma once

namespace xylem::port {

// Lets another vCPU run where a reschedule is due; returns on the same stack, perhaps on another CPU. Long operations call it
// in their loops. No locks held, interrupts on. False: the domain is being destroyed, nobody waits for the rest; whatever a
// guest can make arbitrarily long must end here.
bool preemption_point();

}  // namespace xylem::port
