// SPDX-License-Identifier: MIT
// System time: nanoseconds since start, the same on every CPU. The TSC carries it; the platform timer keeps it true.
//
// Order at boot: init() on the boot CPU after local_apic.enable_this_cpu(); each further CPU calls join() while the boot CPU is
// in serve_join(); refine() on the boot CPU just before dom0 is made (guests take the TSC's frequency from us once and for all);
// then correct() about once a second from one CPU at a time.
#pragma once

#include <optional>

#include "arch/x86/time/platform_timer.hpp"
#include "arch/x86/time/steering.hpp"
#include "base/result.hpp"
#include "base/types.hpp"
#include "drivers/acpi/platform_info.hpp"

namespace xylem::time {

inline constexpr Nanos correction_period = 1'000'000'000;

// Starts system time at 0, by the `wanted` timer if it works. Waits 10 ms. Boot CPU, interrupts off.
void init(const acpi::PlatformInfo& info, std::optional<Source> wanted);

// Measures the TSC again, now over all the time since init() but at least 50 ms (it waits for what is missing). Boot CPU.
void refine();

// Since init(); before it 0. Any CPU, any context but NMI and machine check (those may have interrupted correct()).
Nanos now();

// Follows the platform timer; call it every correction_period (half to double is fine; after a gap of minutes the PIT's wraps are
// lost). Any CPU, one at a time, not from an interrupt handler that may interrupt itself.
void correct();

// What guests' vcpu_time_info is made of.
Stamp stamp();

u64 tsc_hertz();
// The TSC counts at one rate in all power states and is in step on all CPUs that joined: XEN_PVCLOCK_TSC_STABLE_BIT may be told
// to guests.
bool tsc_is_stable();

// A starting CPU and the boot CPU put the starting one's TSC in step; both with interrupts off, a few microseconds. One CPU at a
// time: join() waits for serve_join() and the other way round, so the boot CPU calls it only for a CPU that has come up.
void join();
void serve_join();
// A CPU's TSC could not be put in step: tsc_is_stable() is false from now on.
void note_out_of_step();

// This CPU's timer interrupt (irqchip::timer_vector) at `deadline`, at once if it has passed; `never` stops the timer. It may
// come some nanoseconds early, and early when the deadline is further away than the APIC counts: the handler looks at now() and
// arms it again. Interrupts off.
void arm_timer(Nanos deadline);

// Spins; boot and CPU start only.
void wait(Nanos duration);

// Seconds since 1970 as the battery-backed clock has them. XEN_ENODEV: there is none, or it holds no date.
Result<u64> read_wall_clock(const acpi::PlatformInfo& info);

}  // namespace xylem::time
