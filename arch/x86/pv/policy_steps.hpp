// SPDX-License-Identifier: MIT
// How a policy is made: each step takes what the one before left, and takes away from it.
//     hardware -> host -> pv_max -> pv_default -> a domain's
#pragma once

#include "arch/x86/pv/cpu_policy.hpp"

namespace xylem::pv {

// What the boot CPU says (all CPUs are taken to be of one kind).
void read_hardware(CpuPolicy& p);
// Less what the hypervisor does not use, by the user's wish or because it cannot.
void reduce_to_host(CpuPolicy& p);
// Less what a guest at ring 3 cannot use, plus the mark of a hypervisor.
void reduce_to_pv_max(CpuPolicy& p);
// Less what guests do not get without asking.
void reduce_to_pv_default(CpuPolicy& p);

// Steps up to `kind`.
void make_policy(port::PolicyKind kind, CpuPolicy& p);

// A domain's policy as somebody wished it (`p`), cut down to what there is and made consistent: features without those that
// they build on are off, state sizes follow the features, leaves above the highest are zero.
void make_consistent(CpuPolicy& p, const CpuPolicy& max);
// XEN_EINVAL where `p` has more leaves than `max`, or MSR bits.
Result<> check_limits(const CpuPolicy& p, const CpuPolicy& max, port::PolicyFault& fault);

// dom0's vCPUs are not the CPUs that its firmware's tables describe: no topology. It never moves: the TSC's promise holds.
void adapt_to_hardware_domain(CpuPolicy& p, const CpuPolicy& max);

// Bytes of an XSAVE area for `states`, as leaf 0xd counts them.
u32 xstate_bytes(const CpuPolicy& p, u64 states, bool compacted);

}  // namespace xylem::pv
