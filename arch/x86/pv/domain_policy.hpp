// SPDX-License-Identifier: MIT
// Who has which policy. Domains with equal policies share one table.
#pragma once

#include "arch/x86/pv/cpu_policy.hpp"

namespace xylem {
struct Domain;
}

namespace xylem::pv {

// A policy that domains share; counted.
struct SharedPolicy {
    CpuPolicy policy;
    u32 users = 0;
    SharedPolicy* next = nullptr;
};

// Gives a new domain the default policy (dom0: its own). XEN_ENOMEM.
Result<> give_default_policy(Domain& d);
void drop_policy(Domain& d);

// The XSAVE states that the domain may switch on in XCR0; 0: none, it has no XSAVE.
u64 allowed_states(const Domain& d);
// The bits that the domain may set in CR4.
u64 allowed_cr4(const Domain& d);

}  // namespace xylem::pv
