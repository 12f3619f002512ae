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
    bool open = true;       // interrupts reach it where it stands
    bool stepping = false;  // it stands in the middle of something
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

bool take_interrupts() {
    const u32 here = machine.cpu.raw;
    cpu::host_irqs_on = false;
    const bool message = world->take_message(here);
    const bool timer = machine.timer[here] <= machine.now;
    if (timer) {
        machine.timer[here] = never;
        timers_run();
    }
    return message || timer;
}

// Back to the world until it resumes this CPU. `open`: interrupts come in. True where one came.
bool to_world(bool open) {
    const bool irqs = cpu::host_irqs_on;
    Fiber& f = me();
    f.open = open;
    swap(f.context, main_context, main_stack, main_stack_size);
    f.halted = false;
    const bool interrupted = open && take_interrupts();
    cpu::host_irqs_on = irqs;
    return interrupted;
}

// The way to the guest, where interrupts are on.
void exit_path() {
    cpu::irq_disable();
    const auto held = [] { return (port::current().pending_work.load() & (work::stop | work::end)) != 0; };
    while (port::this_cpu_work().flags.load() != 0 || held()) sched::exit_point();
    cpu::irq_enable();
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
    std::ranges::fill(arrivals_, never);
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
    const auto is_gone = [](const std::unique_ptr<Vcpu>& v) { return v->sched.is_idle || (v->sched.ended && !v->sched.on_cpu); };
    run_until([&] { return std::ranges::all_of(vcpus_, is_gone); }, 1'000'000'000);
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

void World::resume(u32 cpu) {
    machine.cpu = CpuId(cpu);
    Fiber& to = fiber_of(*machine.current[cpu]);
    inside_ = true;
    swap(main_context, to.context, to.stack.data(), to.stack.size());
    inside_ = false;
}

void World::run_until(Nanos when) {
    constexpr Nanos patience = 10'000'000;  // with what is only halfway done: locks may be held
    until_ = when;
    for (;;) {
        // The next thing that happens, and on which CPU.
        Nanos next = never;
        u32 cpu = 0;
        bool stepping = false;
        for (u32 i = 0; i < machine.cpus; ++i) {
            const Fiber& a = fiber_of(*machine.current[i]);
            Nanos at = a.open ? std::min(arrival(i), machine.timer[i]) : never;
            if (!a.halted) at = std::min(at, a.busy_until);
            if (at < next) {
                next = at;
                cpu = i;
            }
            stepping = stepping || a.stepping;
        }
        if (next > when && (!stepping || next > when + patience)) break;
        machine.now = std::max(machine.now, next);
        resume(cpu);
    }
    machine.now = std::max(machine.now, when);
    machine.cpu = outside;
}

bool World::run_until(const std::function<bool()>& condition, Nanos patience) {
    constexpr Nanos look = 1'000'000;
    for (const Nanos end = machine.now + patience; machine.now < end && !condition();) run_until(machine.now + look);
    return condition();
}

void World::compute(Nanos duration) {
    Nanos left = duration;
    exit_path();
    while (left > 0) {
        const Nanos start = machine.now;
        me().busy_until = left == never ? never : start + left;
        const bool interrupted = to_world(true);
        if (left != never) left -= machine.now - start;
        me().busy_until = never;
        if (interrupted) exit_path();
    }
}

void World::call(const std::function<void()>& hypercall) {
    hypercall();
    exit_path();
}

void World::interleave(u64 seed) {
    seed_ = seed | 1;
}

// When what was sent to the CPU gets there.
Nanos World::arrival(u32 cpu) {
    constexpr u64 longest = 5000;
    Nanos& at = arrivals_[cpu];
    if (machine.event_check[cpu] && at == never)
        at = machine.now + (seed_ == 0 ? 0 : static_cast<Nanos>(next_random(seed_) % longest));
    return at;
}

bool World::take_message(u32 cpu) {
    if (arrival(cpu) > machine.now) return false;
    machine.event_check[cpu] = false;
    arrivals_[cpu] = never;
    return true;
}

bool World::step() {
    if (!inside_) return false;
    Fiber& f = me();
    // Mostly short, sometimes enough for another CPU to come a long way.
    const u64 longest = u64{1} << next_random(seed_) % 16;
    const Nanos until = std::exchange(f.busy_until, machine.now + 1 + static_cast<Nanos>(next_random(seed_) % longest));
    const bool nested = std::exchange(f.stepping, true);
    to_world(cpu::host_irqs_on);
    f.stepping = nested;
    f.busy_until = until;
    return true;
}

void World::at_function_entry() {
    if (inside_ && seed_ != 0 && machine.now <= until_ && next_random(seed_) % 4 == 0) step();
}

void World::compute_forever() {
    compute(never);
}

void World::sleep(Nanos duration) {
    sched::begin_block();
    timer_set_here(me().alarm, machine.now + duration);
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
    host::to_world(true);
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
