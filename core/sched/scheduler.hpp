// SPDX-License-Identifier: MIT
// The scheduler: every physical CPU has a run queue ordered by virtual time (service received divided by weight); the vCPU
// that is furthest behind runs next. Virtual times are comparable between CPUs: CPUs that fall behind others are given vCPUs
// away or are moved forward, so a domain's share is a share of the machine.
//
// Locks, outermost first: domain lock, its shutdown_lock, run-queue lock (two of them: lower CPU number first),
// DomainShare::lock, timer lock. All but the domain lock are taken with interrupts off; wake-ups come from interrupt handlers on
// any CPU. No lock is held while stacks are switched (core/port/sched.hpp tells that protocol).
//
// A vCPU that blocks while nobody else wants its CPU stays where it is and halts on its own stack ("idle in place"): waking it
// needs no context switch. It still counts as being on its CPU then; pause_and_wait() evicts it.
#pragma once

#include "core/domain/domain.hpp"
#include "core/port/sched.hpp"

namespace xylem::sched {

// How the policy is tuned; the defaults are what users of credit2 expect.
inline constexpr Nanos slice = 10'000'000;             // a CPU-bound vCPU runs that long while others wait
inline constexpr Nanos default_ratelimit = 1'000'000;  // nobody is preempted before
inline constexpr Nanos sleep_bonus = 5'000'000;        // how far behind (virtual time) a sleeper may come back
inline constexpr Nanos cap_period = 10'000'000;
inline constexpr u32 default_weight = 256;
inline constexpr u32 max_weight = 65535;

// --- set-up -------------------------------------------------------------------------------------------------------------------
// This CPU's idle vCPU, whose stack executes the caller. Once per CPU, on that CPU, interrupts off.
void init_cpu(CpuId cpu, Vcpu& idle);
// The end of a CPU's start-up: runs whatever there is, for ever. On the idle vCPU's stack, interrupts off.
[[noreturn]] void idle_loop();
// A new vCPU (down, never run; its ArchVcpu is ready) becomes known to the scheduler. Once, before anything else here.
void add(Vcpu& v);
// The vCPU's domain dies: it finishes what it is doing for its guest (long operations are cut short, see
// port::preemption_point), and never enters the guest again. Any context; not by the vCPU itself.
void end(Vcpu& v);
// Interrupts on, no locks held.
void wait_until_ended(Vcpu& v);
// The vCPU is about to be freed: waits until it has ended and cancels its timers. Nobody may kick it any more. Interrupts on, no
// locks held.
void remove(Vcpu& v);

// --- sleeping and waking ------------------------------------------------------------------------------------------------------
// How the current vCPU waits for a condition without missing its kick():
//     begin_block(); if (condition) cancel_block(); else block_current();
// block_current() returns after a wake(); at once when it came since begin_block().
void begin_block();
void cancel_block();
void block_current();
// Ends a block. Nothing where the vCPU is not blocked. Any context.
void wake(Vcpu& v);
// VCPUOP_up and its opposite. Any context; a running vCPU stops soon.
void bring_up(Vcpu& v);
void take_down(Vcpu& v);
// Lets others who wait for this CPU go first.
void yield_current();
// One turn of a loop that waits for another vCPU to do something. Interrupts on, no locks held.
void make_way();

// Counted stop. pause() returns at once; the vCPU stops before it next runs guest code, a hypercall in progress is finished
// first. Any context.
void pause(Vcpu& v);
void unpause(Vcpu& v);
// A vCPU that was paused and will execute none of its guest's instructions before unpause(). A hypercall in which it is blocked
// may still come to its end. Any context.
bool is_out_of_guest(const Vcpu& v);
// Of another domain whose vCPUs were paused. Interrupts on, no locks held.
void wait_until_out_of_guest(Domain& d);
// After it returns the vCPU's registers are in memory, between two instructions of its guest, and stay there until unpause().
// A blocked vCPU is woken for that. False (and not paused): its hypercall did not come to an end in two seconds. Not for the
// current vCPU; interrupts on, no locks held.
bool pause_and_wait(Vcpu& v);

// On the way to a guest, when CpuWork::flags or pending_work's stop or end are set: the place where vCPUs are held. Interrupts
// off. May return on another CPU, or never.
void exit_point();
// In the middle of something, when CpuWork::flags are set. May return on another CPU.
void preempt_if_needed();
// By the machine, on the new stack, see core/port/sched.hpp. Interrupts off.
void finish_switch(Vcpu& previous);

// --- poll ---------------------------------------------------------------------------------------------------------------------
void wake_pollers_slow(Domain& d, Port port);
// Event channel code calls this for every port that becomes pending, masked or not. After the pending bit is set.
inline void wake_pollers(Domain& d, Port port) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (d.sched.polling.load(std::memory_order_relaxed) != 0) [[unlikely]]
        wake_pollers_slow(d, port);
}

// --- parameters (domctl, sysctl)
struct Params {
    u32 weight;
    u32 cap;
};
// XEN_EINVAL: weight outside 1..65535, or a cap above 100 percent per vCPU.
Result<> set_params(Domain& d, u32 weight, u32 cap);
Params get_params(const Domain& d);
// XEN_EINVAL where `hard` has no CPU that is online.
Result<> set_affinity(Vcpu& v, const CpuMask& hard, const CpuMask& soft);
// From now on nobody on these CPUs is preempted sooner. 0: as soon as somebody else is further behind.
void set_ratelimit(const CpuMask& cpus, Nanos limit);
// The domain's CPU pool: its vCPUs run nowhere else. Holds the domain's lock or nobody knows the domain yet.
void set_cpus(Domain& d, const CpuMask& cpus);
// How long the CPU had nothing to run, up to now.
Nanos idle_time(CpuId cpu);

// --- runstates ----------------------------------------------------------------------------------------------------------------
// The vCPU's times up to now (state_entry_time is when the present state began). Any context.
vcpu_runstate_info runstate_snapshot(Vcpu& v);

// Debug key 'r'.
void dump(text::Sink& out);

}  // namespace xylem::sched

namespace xylem {

// work::update_runstate, on the exit path of the current vCPU (its address space is loaded, interrupts on or off): writes the
// runstate area and the secondary time area. Areas that are not mapped are skipped.
void publish_runstate(Vcpu& v);

}  // namespace xylem
