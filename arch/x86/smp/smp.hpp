// SPDX-License-Identifier: MIT
// Bringing up the other CPUs.
#pragma once

#include "drivers/acpi/platform_info.hpp"

namespace xylem {

// Makes the boot CPU a CPU of ours: PerCpu, idle vCPU, tables. Returns on the same (boot) stack.
void adopt_boot_cpu(u32 apic_id);
// Starts every usable CPU up to `limit` in all, one after the other, or with `smt` off only each core's first thread; those that
// do not answer are named in the log and left out.
void start_other_cpus(const acpi::PlatformInfo& info, u32 limit, bool smt);

}  // namespace xylem
