// SPDX-License-Identifier: MIT
#pragma once

#include "arch/x86/domain/arch_vcpu.hpp"

namespace xylem::pv {

// The guest kernel wrote to one of its own L1 tables through a read-only mapping: does the write as an L1 update would
// [ABI.md 3.6]. False where the fault is something else, or the instruction is none we do; the guest then gets its #PF.
bool emulate_page_table_write(ArchVcpu& v, u64 address);

}  // namespace xylem::pv
