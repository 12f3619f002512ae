// SPDX-License-Identifier: MIT
// Guest descriptor tables and segment bases [ABI.md 2.6]. Each vCPU sees its GDT and LDT through a window of the per-domain slot.
#pragma once

#include "abi/errno.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"

namespace xylem::pv {

// The windows: 16 pages of GDT (14 the guest's, then the CPU's own page) and 16 of LDT per vCPU.
inline constexpr u64 window_pages = 32;
constexpr u64 gdt_window(VcpuId id) {
    return layout::per_domain_start + id.raw * window_pages * page_size;
}
constexpr u64 ldt_window(VcpuId id) {
    return gdt_window(id) + 16 * page_size;
}

// Makes a descriptor harmless (privilege 3 for what a guest may use) or says that it cannot be.
bool sanitise_descriptor(u64& descriptor);

// All 512 descriptors of a frame; writes the sanitised ones back.
Result<> validate_descriptor_page(Mfn mfn);

// Points the vCPU's GDT window at these frames (mfns; the caller's own). Drops the old ones.
Result<> set_gdt(ArchVcpu& v, const u64* frames, u32 entries);
void drop_gdt(ArchVcpu& v);
// Empties the LDT window (frames fault in on use).
void drop_ldt(ArchVcpu& v);
// #PF in the LDT window: maps the guest's page behind it. False where the guest has none there.
bool fault_in_ldt(ArchVcpu& v, u64 va);

// Loads what the CPU needs for this vCPU: GDT, LDT registers. Interrupts off.
void load_descriptor_tables(ArchVcpu& v);

long hypercall_set_gdt(u64 frames, u64 entries, u64, u64, u64, u64);
long hypercall_update_descriptor(u64 maddr, u64 descriptor, u64, u64, u64, u64);
long hypercall_set_segment_base(u64 which, u64 base, u64, u64, u64, u64);
long set_ldt(ArchVcpu& v, u64 va, u64 entries);

}  // namespace xylem::pv
