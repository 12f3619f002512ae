// SPDX-License-Identifier: MIT
// The contract: what a machine offers to core. arch/x86 implements it on hardware, arch/host in a process for tests.
#pragma once

#include "base/types.hpp"
#include "core/mem/tlb_stamp.hpp"

namespace xylem {
struct Vcpu;
struct Domain;
}  // namespace xylem

namespace xylem::port {

// --- time ---------------------------------------------------------------------------------------------------------------
// Nanoseconds since the hypervisor started; monotonic on every CPU. Any context.
Nanos now();
// Arms this CPU's one-shot timer interrupt (`never` = off); a deadline in the past fires at once. Interrupts off.
void program_timer(Nanos deadline);

// --- CPUs ---------------------------------------------------------------------------------------------------------------
CpuId this_cpu();
u32 online_cpus();  // CPUs are numbered 0 .. online_cpus() - 1
// Makes `cpu` look at its pending work (reschedule, event check) soon. Any context.
void send_event_check(CpuId cpu);

// --- the running guest ----------------------------------------------------------------------------------------------------
// The vCPU whose hypervisor stack this is (an idle vCPU outside of guests).
Vcpu& current();
// Prints the vCPU's registers and the top of its stack to the log, for a report on why it crashed.
void dump_guest_state(Vcpu& v);
// Copies between the hypervisor and the *current* guest's virtual address space. False on any fault or on an address inside
// the hypervisor; the destination may then be partly written. Never with a lock held: a copy can be slow.
bool copy_from_guest(void* to, u64 guest_va, usize size);
bool copy_to_guest(u64 guest_va, const void* from, usize size);

// --- memory -------------------------------------------------------------------------------------------------------------
// The always-mapped view of a RAM frame (direct map). The caller holds a reference or owns the frame.
void* frame_address(Mfn mfn);
// The machine frame behind a guest frame number (PV: the same number); invalid_mfn where there is none.
Mfn gfn_to_mfn(Domain& domain, Gfn gfn);
// What the machine-to-physical table says of a frame (guest-readable, ABI.md 1.5).
void set_m2p(Mfn mfn, u64 pfn);
u64 get_m2p(Mfn mfn);

// --- TLBs -----------------------------------------------------------------------------------------------------------------
// The flush clock counts whole-TLB flushes. A frame whose last use ended at `stamp` is clean on a CPU that flushed later.
TlbTime tlb_clock();
// Returns when no CPU can hold a translation made before `stamp` (sends IPIs where needed). Interrupts on, no locks held
// by the caller that an interrupt handler takes.
void flush_stale_tlbs(TlbStamp stamp);

}  // namespace xylem::port
