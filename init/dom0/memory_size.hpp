// SPDX-License-Identifier: MIT
// How much memory and how many vCPUs dom0 gets: dom0_mem, dom0_max_vcpus.
#pragma once

#include "init/options.hpp"

namespace xylem::dom0 {

// Pages to give dom0, of `available`.
u64 memory_pages(const init::Options& options, u64 available);
// Pages it may ever have (dom0_mem=max:).
u64 memory_limit(const init::Options& options);
u32 vcpu_count(const init::Options& options, u32 cpus);

}  // namespace xylem::dom0
