// SPDX-License-Identifier: MIT
#include "arch/host/sched.hpp"

#include <sanitizer/common_interface_defs.h>
#include <ucontext.h>

#include <algorithm>

#include "arch/host/guest_map.hpp"
#include "arch/host/machine.hpp"
#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"
#include "core/port/sched.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem {

namespace host {

// A simulated vCPU of the scheduler's tests: what the guest is, and where it stands.
struct Fiber {
    ArchVcpu arch{};
    ucontext_t context{};
    std::vector<char> stack;
    std::function<void()> guest;
    Timer alarm;
    Nanos busy_until = never;  // end of the computation, while on a CPU
    bool halted = false;
};

World* world = nullptr;
bool runstate_flag = false;

namespace {

CpuWork works[max_cpus];
constexpr CpuId outside{max_cpus - 1};  // what tests do between runs comes from a CPU that runs nobody
ucontext_t main_context;
const void* main_stack = nullptr;
usize main_stack_size = 0;
Vcpu* switched_from = nullptr;

void swap(ucontext_t& from, ucontext_t& to, const void* stack, usize size) {
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, stack, size);
    swapcontext(&from, &to);
    const void* old_stack = nullptr;
    usize old_size = 0;
    __sanitizer_finish_switch_fiber(fake, &old_stack, &old_size);
    if (main_stack == nullptr) {
        main_stack = old_stack;
        main_stack_size = old_size;
    }
}

Fiber& fiber_of(const Vcpu& v) {
    return *reinterpret_cast<Fiber*>(v.arch);  // its first member
}
Fiber& me() {
    return fiber_of(port::current());
}

// Back to the world until it resumes this CPU.
void to_world() {
    const bool irqs = cpu::host_irqs_on;
    swap(me().context, main_context, main_stack, main_stack_size);
    cpu::host_irqs_on = irqs;
}

// The way to the guest.
void exit_path() {
    cpu::irq_disable();
    const auto held = [] { return (port::current().pending_work.load() & (work::stop | work::end)) != 0; };
    while (port::this_cpu_work().flags.load() != 0 || held()) sched::exit_point();
}

void enter() {
    const void* old_stack = nullptr;
    usize old_size = 0;
    __sanitizer_finish_switch_fiber(nullptr, &old_stack, &old_size);
    if (main_stack == nullptr) {
        main_stack = old_stack;
        main_stack_size = old_size;
    }
    if (Vcpu* previous = std::exchange(switched_from, nullptr)) sched::finish_switch(*previous);
    Vcpu& v = port::current();
    if (v.sched.is_idle) sched::idle_loop();
    exit_path();
    fiber_of(v).guest();
    for (;;) {
        sched::begin_block();
        sched::block_current();
        exit_path();
    }
}

void make_fiber(Vcpu& v, std::function<void()> guest) {
    Fiber& f = *new Fiber;
    v.arch = &f.arch;
    f.arch.vcpu = &v;
    f.guest = std::move(guest);
    f.stack.resize(256 * 1024);
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack.data();
    f.context.uc_stack.ss_size = f.stack.size();
    makecontext(&f.context, enter, 0);
    f.alarm.handler = [](void* c) { sched::wake(*static_cast<Vcpu*>(c)); };
    f.alarm.context = &v;
}

}  // namespace

World::World(u32 cpus) {
    const Nanos start = machine.now;  // timers and queues outlive a world: time never goes back
    machine = Machine{};
    machine.now = start;
    machine.cpus = cpus;
    for (Nanos& t : machine.timer) t = start;  // the queues believe what they told the hardware of an earlier world
    world = this;
    main_stack = nullptr;
    cpu::host_irqs_on = false;
    domains_.push_back(std::make_unique<Domain>(domid_idle));
    for (u32 i = 0; i < cpus; ++i) {
        works[i].flags = 0;
        vcpus_.push_back(std::make_unique<Vcpu>(*domains_[0], VcpuId(i)));
        Vcpu& v = *vcpus_.back();
        make_fiber(v, nullptr);
        machine.cpu = CpuId(i);
        machine.current[i] = &v;
        sched::init_cpu(CpuId(i), v);
    }
    for (u32 i = 0; i < cpus; ++i) machine.event_check[i] = true;  // first entry
    machine.cpu = outside;
}

World::~World() {
    for (auto& v : vcpus_)
        if (!v->sched.is_idle) sched::end(*v);
    run_until(machine.now + 1'000'000);
    for (auto& v : vcpus_) {
        if (!v->sched.is_idle) sched::remove(*v);
        timer_cancel(fiber_of(*v).alarm);
        delete &fiber_of(*v);
    }
    for (auto& d : domains_) timer_cancel(d->sched.refill);
    world = nullptr;
    for (Vcpu*& v : machine.current) v = nullptr;
    machine.cpus = 1;
    machine.cpu = CpuId(0);
    cpu::host_irqs_on = true;
}

Domain& World::add_domain(u32 weight, u32 cap) {
    domains_.push_back(std::make_unique<Domain>(DomId(static_cast<u16>(domains_.size()))));
    Domain& d = *domains_.back();
    d.max_vcpus = max_vcpus_per_domain;
    if (!sched::set_params(d, weight, cap)) std::abort();
    return d;
}

Vcpu& World::add_vcpu(Domain& d, std::function<void()> guest) {
    u32 id = 0;
    while (d.vcpus[id] != nullptr) ++id;
    vcpus_.push_back(std::make_unique<Vcpu>(d, VcpuId(id)));
    Vcpu& v = *vcpus_.back();
    d.vcpus[id] = &v;
    v.info = &d.dummy_vcpu_info;
    make_fiber(v, std::move(guest));
    sched::add(v);
    v.setup = Setup::done;
    return v;
}

void World::start(Vcpu& v) {
    sched::bring_up(v);
}

void World::deliver(u32 cpu) {
    machine.cpu = CpuId(cpu);
    cpu::host_irqs_on = false;
    machine.event_check[cpu] = false;
    if (machine.timer[cpu] <= machine.now) {
        machine.timer[cpu] = never;
        timers_run();
    }
}

void World::resume(u32 cpu) {
    machine.cpu = CpuId(cpu);
    Fiber& to = fiber_of(*machine.current[cpu]);
    swap(main_context, to.context, to.stack.data(), to.stack.size());
}

void World::run_until(Nanos when) {
    for (;;) {
        // The next thing that happens, and on which CPU.
        Nanos next = never;
        u32 cpu = 0;
        for (u32 i = 0; i < machine.cpus; ++i) {
            Nanos at = machine.event_check[i] ? machine.now : machine.timer[i];
            const Fiber& a = fiber_of(*machine.current[i]);
            if (!a.halted) at = std::min(at, a.busy_until);
            if (at < next) {
                next = at;
                cpu = i;
            }
        }
        if (next > when) break;
        machine.now = std::max(machine.now, next);
        deliver(cpu);
        resume(cpu);
    }
    machine.now = std::max(machine.now, when);
    machine.cpu = outside;
}

void World::compute(Nanos duration) {
    Nanos left = duration;
    while (left > 0) {
        const Nanos start = machine.now;
        me().busy_until = left == never ? never : start + left;
        to_world();
        if (left != never) left -= machine.now - start;
        me().busy_until = never;
        exit_path();
    }
}

void World::compute_forever() {
    compute(never);
}

void World::sleep(Nanos duration) {
    timer_set_here(me().alarm, machine.now + duration);
    sched::begin_block();
    sched::block_current();
    exit_path();
}

void World::as_interrupt_on(CpuId cpu, const std::function<void()>& handler) {
    const CpuId here = machine.cpu;
    const bool irqs = cpu::host_irqs_on;
    cpu::host_irqs_on = false;
    machine.cpu = cpu;
    handler();
    machine.cpu = here;
    cpu::host_irqs_on = irqs;
}

}  // namespace host

namespace port {

CpuWork& cpu_work(CpuId cpu) {
    return host::works[cpu.raw];
}
CpuWork& this_cpu_work() {
    return host::works[host::machine.cpu.raw];
}

void context_switch(Vcpu& from, Vcpu& to) {
    ++host::world->switches;
    if (host::world->while_switching) host::world->while_switching(from);
    host::machine.current[host::machine.cpu.raw] = &to;
    host::switched_from = &from;
    const bool irqs = cpu::host_irqs_on;
    host::Fiber& there = host::fiber_of(to);
    host::swap(host::fiber_of(from).context, there.context, there.stack.data(), there.stack.size());
    cpu::host_irqs_on = irqs;
    if (Vcpu* previous = std::exchange(host::switched_from, nullptr)) sched::finish_switch(*previous);
}

void wait_for_interrupt() {
    if (host::world->before_halt) host::world->before_halt();
    host::Fiber& a = host::me();
    a.halted = true;
    host::to_world();
    a.halted = false;
}

bool preemption_point() {
    if (host::guest_map != nullptr) {
        host::guest_map->preemption_point();
        return true;
    }
    host::interleave();
    if (this_cpu_work().flags.load() != 0) sched::preempt_if_needed();
    return !current().sched.ending.load();
}

void update_vcpu_time(Vcpu&) {
    if (host::world != nullptr) ++host::world->time_updates;
}
void publish_vcpu_time(Vcpu&) {}
bool runstate_update_flag(Domain& d) {
    return d.arch != nullptr ? d.arch->runstate_update_flag : host::runstate_flag;
}
void machine_shutdown(u32 reason) {
    if (host::world != nullptr) host::world->shutdown_reason = reason;
}

}  // namespace port
}  // namespace xylem
