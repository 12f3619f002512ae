// SPDX-License-Identifier: MIT
// The last words: what a user can send us.
#pragma once

#include <string_view>

#include "cpu/frame.hpp"

namespace xylem {

// "?" for what is no exception [Intel SDM 3A, 6.3.1].
const char* exception_name(u64 vector);

// A fault in the hypervisor itself: registers, stack with names, what was running. Stops the machine.
[[noreturn]] void report_fault(const Frame& frame);
// The same, for another reason. `frame`: where it happened, in the hypervisor or in a guest.
[[noreturn]] void report_and_stop(const Frame& frame, std::string_view reason);
// For good, by NMI: before a reboot or power off. This CPU goes on; it does not return where another one was first. Any context.
void stop_other_cpus();
// For the NMI handler: whether that is why it came.
bool another_cpu_ends_the_machine();

}  // namespace xylem
