// SPDX-License-Identifier: MIT
// Translation look-aside buffers of all CPUs, and the flush clock that tells which of them are clean (port::tlb_clock).
#pragma once

#include "arch/x86/domain/arch_vcpu.hpp"
#include "core/sched/entity.hpp"

namespace xylem {

// Makes `root` the running CPU's page table. Flushes the guest's (non-global) translations of this CPU.
void load_root(ArchVcpu& v, u64 root);

// Flushes guest translations, all or of one page, on this CPU.
void flush_tlb_local();
void flush_page_local(u64 va);

// The same on every CPU of the mask, this one included; returns when done. Interrupts on, no locks.
void flush_tlb_on(const sched::CpuMask& cpus);
void flush_page_on(const sched::CpuMask& cpus, u64 va);

// The IPI's handler.
void on_tlb_flush_ipi();

}  // namespace xylem
