// SPDX-License-Identifier: MIT
// The last words: what a user can send us.
#pragma once

#include "base/text/format.hpp"
#include "cpu/frame.hpp"

namespace xylem {

// "?" for what is no exception [Intel SDM 3A, 6.3.1].
const char* exception_name(u64 vector);

// A fault in the hypervisor itself: registers, stack with names, what was running. Stops the machine.
[[noreturn]] void report_fault(const Frame& frame);
// The same, for another reason. `frame`: where it happened, in the hypervisor or in a guest.
[[noreturn]] void report_and_stop_with(const Frame& frame, std::string_view reason);
template <class... Args>
[[noreturn]] void report_and_stop(const Frame& frame, text::FormatString<std::type_identity_t<Args>...> f, const Args&... args) {
    text::FixedText<96> reason;
    text::format<Args...>(reason, f, args...);
    report_and_stop_with(frame, reason.view());
}
// For good, by NMI: before a reboot or power off. This CPU goes on; it does not return where another one was first. Any context.
void stop_other_cpus();
// For the NMI handler: whether that is why it came.
bool another_cpu_ends_the_machine();

}  // namespace xylem
