// SPDX-License-Identifier: MIT
// TLB flushes as guests ask for them: by vCPU.
#pragma once

#include "abi/errno.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"
#include "core/sched/entity.hpp"

namespace xylem::pv {

// The CPUs on which these vCPUs of the domain may have translations: where they run or ran last.
sched::CpuMask cpus_of_domain(const Domain& d);
// `va`: guest address of a bitmap of vCPU numbers.
Result<sched::CpuMask> cpus_of_vcpus(Domain& d, u64 va);

// The flush an update_va_mapping asked for in its flags (UVMF_*).
long flush_as_asked(ArchVcpu& v, u64 flags, u64 va);

}  // namespace xylem::pv
