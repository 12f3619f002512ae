// SPDX-License-Identifier: MIT
// The contract between the scheduler and the machine.
#pragma once

#include <atomic>

#include "abi/errno.hpp"
#include "core/port/machine.hpp"
#include "core/port/preempt.hpp"

namespace xylem {

// What a CPU has to look at before it enters a guest. One per CPU, at a place that assembly can read: where `flags` is not 0
// on the way to a guest (interrupts off), call sched::preempt_if_needed().
struct CpuWork {
    static constexpr u32 reschedule = 1;  // another vCPU may have a better claim to this CPU
    static constexpr u32 timers = 2;      // another CPU changed this CPU's earliest timer
    std::atomic<u32> flags{0};
};

namespace port {

CpuWork& cpu_work(CpuId cpu);
CpuWork& this_cpu_work();  // one %gs-relative access; the CPU cannot change as long as interrupts are off

// port::preemption_point() (preempt.hpp) is: where this CPU's flags are set, sched::preempt_if_needed().

// Leaves `from`'s stack and continues on `to`'s. Called with interrupts off and no lock held; returns, when somebody
// switches back to `from`, in the same condition but perhaps on another CPU.
//
// Protocol: both vCPUs have Entity::on_cpu set when this is called. The machine saves `from`'s state completely (nothing of
// it may stay lazily in this CPU, or finish_switch has to write it back), loads `to`, makes current() mean `to`, and executes
// sched::finish_switch(from) on `to`'s stack. Only then may another CPU take `from` up. A vCPU that runs for the first time
// calls finish_switch too, from its entry code, before anything else.
void context_switch(Vcpu& from, Vcpu& to);

// sti; hlt; cli without a gap: returns with interrupts off after at least one interrupt was handled. An interrupt that is
// pending already ends the wait. May return for no reason.
void wait_for_interrupt();

// Brings vcpu_info.time of `v` (the current vCPU) up to date: the vCPU came to another CPU or slept long. Interrupts off, no
// locks held. Must not touch guest virtual addresses.
void update_vcpu_time(Vcpu& v);
// Writes the secondary time area (Vcpu::time_guest_va) of the current vCPU. Unmapped areas are skipped silently.
void publish_vcpu_time(Vcpu& v);

// VCPUOP_initialise: reads a vcpu_guest_context at `context_va` of the current guest and installs it; the caller has the
// vCPU's set-up (core/domain/vcpu_setup.hpp). XEN_EFAULT, XEN_EINVAL, XEN_ENOMEM.
Result<> initialise_vcpu(Vcpu& v, u64 context_va);
// vm_assist(runstate_update_flag) is on.
bool runstate_update_flag(Domain& d);
// The hardware domain is done: power off, reboot or report a crash (SHUTDOWN_*). Does not return on hardware.
void machine_shutdown(u32 reason);

}  // namespace port
}  // namespace xylem
