// SPDX-License-Identifier: MIT
// A CPU's descriptor tables, task state and system-call registers.
#pragma once

#include "arch/x86/domain/per_cpu.hpp"

namespace xylem {

// The CPU's own PerCpu by number; null for CPUs that never came up.
PerCpu* cpu_by_id(CpuId id);
void register_cpu(PerCpu& cpu);

// Boot CPU, at once: from here on a fault in the hypervisor ends in a report.
void load_early_descriptors();
// Fills the hypervisor's GDT page and task state of `cpu`, with stacks for NMI, double fault and machine check.
// Memory from the early allocator or the heap. Panics when out of memory.
void prepare_cpu(PerCpu& cpu);
// Runs on the CPU itself, on `idle`'s stack: loads GDT, IDT, TSS, control registers, syscall MSRs.
void load_cpu(PerCpu& cpu);

// The stack the CPU's next entry from a guest uses: TSS and the syscall stub. Interrupts off.
void set_entry_stack(PerCpu& cpu, ArchVcpu& on_top);

// The descriptor tables for the idle context: the CPU's own page alone. Interrupts off.
void load_idle_descriptors(PerCpu& cpu);

// Makes an ArchVcpu at the top of a fresh stack block. Null when out of memory.
ArchVcpu* make_arch_vcpu(Vcpu& v);

}  // namespace xylem
