// SPDX-License-Identifier: MIT
// The hypercalls of the machine's administrator: sysctl [ABI.md 4.9] and domctl [ABI.md 4.10]. Only control domains may call.
// Both run on the calling vCPU's stack with interrupts on and no locks held.
#pragma once

#include "core/domain/domain.hpp"

namespace xylem::control {

// Hypercall 35. `arg`: guest address of a xen_sysctl. 0 or minus an errno; XEN_EACCES where the caller speaks another version.
long sysctl(Vcpu& caller, u64 arg);
// Hypercall 36. `arg`: guest address of a xen_domctl. As sysctl; XEN_ESRCH where the domain does not exist.
long domctl(Vcpu& caller, u64 arg);

// The caller's tools were made for another interface: says so in the log, XEN_EACCES.
Errno wrong_version(const char* call, u32 theirs, u32 ours);

}  // namespace xylem::control
