// SPDX-License-Identifier: MIT
// The last words: what a user can send us.
#pragma once

#include "cpu/frame.hpp"

namespace xylem {

// "?" for what is no exception [Intel SDM 3A, 6.3.1].
const char* exception_name(u64 vector);

// A fault in the hypervisor itself: registers, stack with names, what was running. Stops the machine.
[[noreturn]] void report_fault(const Frame& frame);
// For good, by NMI: before a reboot or power off. This CPU goes on. Any context.
void stop_other_cpus();
// True where the NMI was for us (or for a guest) and is dealt with.
bool handle_nmi(Frame& frame);

}  // namespace xylem
