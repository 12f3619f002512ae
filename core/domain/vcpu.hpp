// SPDX-License-Identifier: MIT
// A virtual CPU: identity, what it shares with its guest, and its place in the scheduler. What is x86 stands in arch.
#pragma once

#include <atomic>

#include "abi/xen.hpp"
#include "core/mem/pages.hpp"
#include "core/sched/entity.hpp"
#include "core/sched/timer.hpp"

namespace xylem {

struct Domain;
struct ArchVcpu;

// Whether a vCPU has the state that it begins with (core/domain/vcpu_setup.hpp).
enum class Setup : u8 { none, under_way, done };

struct Vcpu {
    Vcpu(Domain& d, VcpuId i) : domain(d), id(i) {}

    // The first three are read by entry code (arch/x86/entry/offsets.h).
    Domain& domain;
    // Where events and time are told: shared_info's slot, a registered page, or the domain's dummy. Never null.
    vcpu_info* info = nullptr;
    // Set by whoever wants the vCPU to do something before it next runs guest code (work::*); cleared by the exit path.
    // Written together with kick().
    std::atomic<u32> pending_work{0};
    VcpuId id;
    ArchVcpu* arch = nullptr;   // owned; made and destroyed by arch/*/domain
    Setup setup = Setup::none;  // guarded by the domain's lock

    // --- shared with the guest -------------------------------------------------------------------------------------------
    WritablePage info_page;                 // keeps a registered vcpu_info mapped
    std::atomic<u64> runstate_guest_va{0};  // registered runstate area (guest virtual), 0 = none
    std::atomic<u64> time_guest_va{0};      // registered secondary time area, 0 = none

    // --- scheduler and timers -------------------------------------------------------------------------------------------
    sched::Entity sched;
    Timer singleshot;
    Timer periodic;
    Nanos period = 0;  // 0 = periodic timer stopped
};

namespace work {
inline constexpr u32 nmi = 1;
inline constexpr u32 update_runstate = 2;
inline constexpr u32 stop = 4;       // paused or taken down: the scheduler decides before the vCPU enters its guest
inline constexpr u32 end = 8;        // its domain dies: it never enters its guest again
inline constexpr u32 failsafe = 16;  // selectors could not be loaded any more: the guest kernel's failsafe callback is due
}  // namespace work

// Makes the vCPU notice what was just made pending for it (an event, pending_work): wakes it when blocked, interrupts it
// when it runs elsewhere. Any context; takes scheduler locks.
void kick(Vcpu& v);

// The vCPU gets an NMI before it next runs guest code. Any context.
inline void send_nmi(Vcpu& v) {
    v.pending_work.fetch_or(work::nmi);
    kick(v);
}

// True where an event wants delivery and is not masked.
inline bool event_deliverable(const Vcpu& v) {
    const volatile vcpu_info& i = *v.info;
    return i.evtchn_upcall_pending != 0 && i.evtchn_upcall_mask == 0;
}

}  // namespace xylem
