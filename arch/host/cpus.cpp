// SPDX-License-Identifier: MIT
#include "arch/host/cpus.hpp"

#include <sanitizer/common_interface_defs.h>
#include <ucontext.h>

#include <memory>

#include "arch/host/sched.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/domain/context.hpp"
#include "arch/x86/entry/setup.hpp"
#include "arch/x86/irqchip/local_apic.hpp"
#include "arch/x86/irqchip/vectors.hpp"
#include "arch/x86/mm/hypervisor_tables.hpp"
#include "arch/x86/mm/tlb.hpp"
#include "arch/x86/time/guest_time.hpp"
#include "arch/x86/time/wall_clock.hpp"
#include "core/domain/domain.hpp"
#include "core/port/io_rights.hpp"
#include "cpu/irqflags.hpp"
#include "init/firmware.hpp"
#include "init/hypervisor.hpp"
#include "init/platform.hpp"
#include "init/shutdown.hpp"

namespace xylem {

extern "C" {
u64 hypervisor_l4[512];
}

namespace host {
namespace {

PerCpu per_cpus[max_cpus];
recorder::Ring recorders[max_cpus];
Registers all_registers[max_cpus];
bool flush_asked[max_cpus];

// --- operations at once ------------------------------------------------------------------------------------------------------
struct Lane {
    std::function<void()> task;
    ucontext_t context{};
    std::vector<char> stack;
    bool irqs = true;
    bool done = true;
};
std::vector<std::unique_ptr<Lane>> lanes;
const std::function<u32(u32)>* chooser = nullptr;
bool at_once = false;
ucontext_t outside_context;
const void* outside_stack = nullptr;
usize outside_stack_size = 0;

void swap(ucontext_t& from, ucontext_t& to, const void* stack, usize size, bool last = false) {
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(last ? nullptr : &fake, stack, size);
    swapcontext(&from, &to);
    const void* old_stack = nullptr;
    usize old_size = 0;
    __sanitizer_finish_switch_fiber(fake, &old_stack, &old_size);
}

void take_interrupts(CpuId cpu) {
    if (!flush_asked[cpu.raw]) return;
    const CpuId here = std::exchange(machine.cpu, cpu);
    flush_asked[cpu.raw] = false;
    on_tlb_flush_ipi();
    machine.cpu = here;
}

void lane_entry() {
    usize size = 0;
    const void* stack = nullptr;
    __sanitizer_finish_switch_fiber(nullptr, &stack, &size);
    outside_stack = stack;
    outside_stack_size = size;
    Lane& lane = *lanes[machine.cpu.raw];
    lane.task();
    lane.done = true;
    swap(lane.context, outside_context, outside_stack, outside_stack_size, true);
}

}  // namespace

Registers& registers() {
    return all_registers[machine.cpu.raw];
}
PerCpu& per_cpu(CpuId cpu) {
    per_cpus[cpu.raw].id = cpu;
    per_cpus[cpu.raw].apic_id = cpu.raw;
    per_cpus[cpu.raw].online = true;
    per_cpus[cpu.raw].recorder = &recorders[cpu.raw];
    return per_cpus[cpu.raw];
}

void interleave() {
    if (!at_once) return;
    Lane& lane = *lanes[machine.cpu.raw];
    lane.irqs = cpu::host_irqs_on;
    at_once = false;
    swap(lane.context, outside_context, outside_stack, outside_stack_size);
}

void run_at_once(std::vector<std::function<void()>> tasks, const std::function<u32(u32)>& choose) {
    const CpuId here = machine.cpu;
    chooser = &choose;
    while (lanes.size() < tasks.size()) {
        lanes.push_back(std::make_unique<Lane>());
        lanes.back()->stack.resize(256 * 1024);
    }
    for (usize i = 0; i < tasks.size(); ++i) {
        Lane& l = *lanes[i];
        l.task = std::move(tasks[i]);
        l.done = !l.task;
        l.irqs = true;
        if (l.done) continue;
        getcontext(&l.context);
        l.context.uc_stack.ss_sp = l.stack.data();
        l.context.uc_stack.ss_size = l.stack.size();
        makecontext(&l.context, lane_entry, 0);
    }
    for (;;) {
        u32 ready[max_cpus];
        u32 count = 0;
        for (u32 i = 0; i < tasks.size(); ++i)
            if (!lanes[i]->done) ready[count++] = i;
        if (count == 0) break;
        const u32 next = ready[count == 1 ? 0 : choose(count) % count];
        // Interrupts reach CPUs that run nothing at once, the others when they go on with interrupts enabled.
        for (u32 i = 0; i < machine.cpus; ++i)
            if (i >= tasks.size() || lanes[i]->done || (i == next && lanes[i]->irqs)) take_interrupts(CpuId(i));
        machine.cpu = CpuId(next);
        cpu::host_irqs_on = lanes[next]->irqs;
        at_once = true;
        swap(outside_context, lanes[next]->context, lanes[next]->stack.data(), lanes[next]->stack.size());
        at_once = false;
    }
    cpu::host_irqs_on = true;
    machine.cpu = here;
    for (u32 i = 0; i < machine.cpus; ++i) take_interrupts(CpuId(i));
}

namespace {
u32 entry_rarity = 0;
u64 entry_seed = 1;
}  // namespace

void interleave_at_function_entries(u32 rarity, u64 seed) {
    entry_rarity = rarity;
    entry_seed = seed | 1;
}

}  // namespace host

extern "C" {
void __cyg_profile_func_enter(void*, void*);
void __cyg_profile_func_exit(void*, void*);
void __cyg_profile_func_enter(void*, void*) {
    if (host::world != nullptr) host::world->at_function_entry();
    if (!host::at_once || host::entry_rarity == 0) return;
    if (host::next_random(host::entry_seed) % host::entry_rarity == 0) host::interleave();
}
void __cyg_profile_func_exit(void*, void*) {}
}

namespace cpu {

void relax() {
    // Alone, a lock that is taken twice never comes free: stop instead of hanging.
    if (host::at_once)
        host::interleave();
    else if (host::world == nullptr || !host::world->step())
        std::abort();
}

}  // namespace cpu

ArchVcpu& current_arch() {
    // vCPUs of tests that need no registers have none; the hypervisor's own vCPU of each CPU does.
    static ArchVcpu idle[host::max_cpus];
    Vcpu& v = port::current();
    ArchVcpu& a = v.arch != nullptr ? *v.arch : idle[host::machine.cpu.raw];
    a.vcpu = &v;
    a.cpu = &host::per_cpu(host::machine.cpu);
    return a;
}
PerCpu* cpu_by_id(CpuId id) {
    return id.raw < host::machine.cpus ? &host::per_cpu(id) : nullptr;
}

const Features& features() {
    return host::environment.features;
}

// The only messages between simulated CPUs that take this way are requests to flush.
void irqchip::LocalApic::command(u32 apic_id, u32 low) {
    if ((low & 0xff) != ipi_tlb_flush_vector) std::abort();
    host::flush_asked[apic_id] = true;
    if (!host::at_once) host::take_interrupts(CpuId(apic_id));
}

Result<> make_pv_vcpu(Vcpu& v) {
    v.arch = new ArchVcpu;
    v.arch->vcpu = &v;
    v.arch->traps = new Trap[256];
    v.arch->fpu_area = new u8[4096]{};
    return {};
}
void destroy_pv_vcpu(Vcpu& v) {
    delete[] v.arch->traps;
    delete[] v.arch->fpu_area;
    delete v.arch;
    v.arch = nullptr;
}

void publish_wall_clock(Domain&) {}
void set_wall_clock(u64, u32, Nanos) {}

std::string_view command_line() {
    return "host";
}
std::span<const u8> build_id() {
    return {};
}
Result<> efi_runtime_call(xenpf_efi_runtime_call&) {
    return fail(XEN_ENOSYS);
}
Result<> efi_info(xenpf_firmware_info&) {
    return fail(XEN_ENOSYS);
}
u8 keyboard_shift_flags() {
    return 0;
}
Result<> enter_acpi_sleep(const xenpf_enter_acpi_sleep&) {
    return fail(XEN_ENOSYS);
}
cpu::CpuidRegs guest_time_leaf(const GuestTsc&, u32) {
    return {};
}
u8 read_cmos(u8) {
    return 0;
}
void write_cmos(u8, u8) {}
Hypervisor& hypervisor() {
    static Hypervisor instance;
    return instance;
}

namespace port {

void dump_guest_state(Vcpu&) {
    ++host::environment.guest_crashes;
}
bool may_map_device_frames(const Domain& d, Mfn first, Mfn last) {
    return d.io.has_frames(first.raw, last.raw) && host::environment.device_frames_allowed;
}
bool is_read_only_device_frame(Mfn mfn) {
    return mfn.raw == host::environment.read_only_device_frame;
}
bool may_choose_caching(const Domain& d) {
    return d.is_hardware_domain && host::environment.caching_allowed;
}
std::span<const MemoryMapEntry> machine_memory_map() {
    return host::environment.memory_map;
}
u64 m2p_extents() {
    return host::environment.m2p_extents.size();
}
Mfn m2p_extent(u64 index) {
    return host::environment.m2p_extents[index];
}
u64 maximum_guest_frame(Domain&) {
    return host::environment.maximum_guest_frame;
}

}  // namespace port
}  // namespace xylem
