// SPDX-License-Identifier: MIT
#pragma once

namespace xylem::port {

// Lets another vCPU run where a reschedule is due; returns on the same stack, perhaps on another CPU. Long operations call it
// in their loops. No locks held, interrupts on.
void preemption_point();

}  // namespace xylem::port
