// SPDX-License-Identifier: MIT
#pragma once

#include "abi/errno.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"

namespace xylem::pv {

// Model-specific registers as the guest kernel sees them [ABI.md 2.4]. An error means #GP for the guest.
Result<u64> read_msr(ArchVcpu& v, u32 msr);
Result<> write_msr(ArchVcpu& v, u32 msr, u64 value);

// Whether the domain's policy offers RDTSCP or RDPID, which read MSR TSC_AUX.
bool has_tsc_aux(const Domain& d);

}  // namespace xylem::pv
