// SPDX-License-Identifier: MIT
// The last words: what a user can send us.
#pragma once

#include "cpu/frame.hpp"

namespace xylem {

// A fault in the hypervisor itself: registers, stack with names, what was running. Stops the machine.
[[noreturn]] void report_fault(const Frame& frame);
// True where the NMI was for us (or for a guest) and is dealt with.
bool handle_nmi(Frame& frame);

}  // namespace xylem
