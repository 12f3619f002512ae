// SPDX-License-Identifier: MIT
// Simulated CPUs that really run the scheduler: every vCPU is a fiber with its own stack, guests are functions that compute
// and sleep in simulated time. Deterministic: one thread, the world advances from event to event.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "arch/host/machine.hpp"
#include "core/domain/domain.hpp"

namespace xylem::host {

struct Fiber;

class World {
   public:
    explicit World(u32 cpus);
    ~World();
    World(const World&) = delete;

    Domain& add_domain(u32 weight = 256, u32 cap = 0);
    // A vCPU whose guest executes `guest` (on its own stack) and then sleeps for ever. Brought up by start().
    Vcpu& add_vcpu(Domain& d, std::function<void()> guest);
    void start(Vcpu& v);
    // Runs the CPUs until `when`. Stops early when nothing can happen any more.
    void run_until(Nanos when);
    // Runs until `condition`, asked every millisecond, is true; false where that takes longer than `patience`.
    bool run_until(const std::function<bool()>& condition, Nanos patience);

    // --- for guests: on the fiber of the current vCPU
    void compute(Nanos duration);
    void compute_forever();
    void sleep(Nanos duration);                         // a timer, then a block
    void call(const std::function<void()>& hypercall);  // and back to the guest

    // From now on other CPUs act, and interrupts come, in the middle of what the scheduler does: at entries of its functions.
    void interleave(u64 seed);

    // Called from CPU `cpu` with interrupts off, as an interrupt handler would be.
    void as_interrupt_on(CpuId cpu, const std::function<void()>& handler);

    // Injected at places where another CPU could act in between.
    std::function<void()> before_halt;
    std::function<void(Vcpu& from)> while_switching;
    u64 switches = 0;
    u64 time_updates = 0;
    u32 shutdown_reason = ~u32{0};

    // --- for the machine
    // Some nanoseconds for the other CPUs, while this one waits for them. False: no CPU of this world executes.
    bool step();
    void at_function_entry();
    bool take_message(u32 cpu);  // from another CPU, where one has arrived

   private:
    void resume(u32 cpu);
    Nanos arrival(u32 cpu);

    std::vector<std::unique_ptr<Domain>> domains_;
    std::vector<std::unique_ptr<Vcpu>> vcpus_;
    bool inside_ = false;  // a CPU executes, not the test
    u64 seed_ = 0;         // 0: one thing after the other
    Nanos until_ = 0;      // end of the run in progress
    Nanos arrivals_[max_cpus];
};

extern World* world;
extern bool runstate_flag;  // what port::runstate_update_flag says

}  // namespace xylem::host
