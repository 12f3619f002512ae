// SPDX-License-Identifier: MIT
// Sets of CPUs in a tool's memory: one bit per CPU, as many bytes as the tool says it has.
#pragma once

#include "abi/errno.hpp"
#include "abi/xen.hpp"
#include "core/sched/entity.hpp"

namespace xylem::control {

// The CPUs 0 .. online_cpus() - 1.
sched::CpuMask online_mask();

// Bits beyond the caller's `nr_bits`, or beyond what a CpuMask holds, count as clear. XEN_EFAULT.
Result<sched::CpuMask> read_mask(const xenctl_bitmap& from);
// Writes the bits of online CPUs and clears what else the caller has room for. XEN_EFAULT.
Result<> write_mask(const xenctl_bitmap& to, const sched::CpuMask& mask);

}  // namespace xylem::control
