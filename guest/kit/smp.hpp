// SPDX-License-Identifier: MIT
// The guest's further vCPUs: started with a function, stopped when it returns, and started again as often as wanted.
#pragma once

#include "base/result.hpp"
#include "guest/kit/cpu.hpp"

namespace xylem::kit {

unsigned vcpu_count();  // of the domain, running or not
Result<> start_vcpu(unsigned id, void (*function)(void*), void* argument);
// Waits until the vCPU has gone down.
void wait_for_vcpu(unsigned id);

}  // namespace xylem::kit
