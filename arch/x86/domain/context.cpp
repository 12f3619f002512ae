// SPDX-License-Identifier: MIT
#include "arch/x86/domain/context.hpp"

#include <cstring>

#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/features.hpp"
#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/entry/nmi.hpp"
#include "arch/x86/entry/setup.hpp"
#include "arch/x86/irqchip/local_apic.hpp"
#include "arch/x86/irqchip/vectors.hpp"
#include "arch/x86/mm/hypervisor_tables.hpp"
#include "arch/x86/mm/stacks.hpp"
#include "arch/x86/mm/tlb.hpp"
#include "arch/x86/pv/debug_registers.hpp"
#include "arch/x86/pv/privileged.hpp"
#include "arch/x86/pv/segments.hpp"
#include "core/port/sched.hpp"
#include "core/sched/scheduler.hpp"
#include "cpu/guest_access.hpp"
#include "cpu/instructions.hpp"
#include "cpu/irqflags.hpp"
#include "hw/x86/registers.hpp"

extern "C" xylem::Vcpu* switch_stacks(xylem::u64* save_rsp, xylem::u64 load_rsp, xylem::Vcpu* previous);
extern "C" void new_vcpu_start();

namespace xylem {
namespace {

constexpr u32 initial_mxcsr = 0x1f80;
constexpr u16 initial_fcw = 0x37f;

void save_fpu(ArchVcpu& v) {
    cpu::clts();
    const Features& host = features();
    if (!host.has_xsave) return cpu::fxsave64(v.fpu_area);
    // Whatever the guest switched off in XCR0 may still hold state it enabled before.
    if (v.xcr0 != host.xcr0) cpu::xsetbv(0, host.xcr0);
    cpu::xsave64(v.fpu_area, host.xcr0);
}

void load_fpu(ArchVcpu& v) {
    cpu::clts();
    const Features& host = features();
    if (!host.has_xsave) {
        cpu::fxrstor64(v.fpu_area);
    } else {
        cpu::xsetbv(0, host.xcr0);
        cpu::xrstor64(v.fpu_area, host.xcr0);
        if (v.xcr0 != host.xcr0) cpu::xsetbv(0, v.xcr0);
    }
    if (v.virtual_ts) cpu::write_cr0(cpu::read_cr0() | x86::cr0::ts);
}

// RDTSCP and RDPID read it unasked. Most guests write the number of the CPU, most switches are to a guest with another.
void load_tsc_aux(const ArchVcpu& v) {
    if ((!features().has_rdtscp && !features().has_rdpid) || v.cpu->tsc_aux == v.tsc_aux) return;
    v.cpu->tsc_aux = v.tsc_aux;
    cpu::wrmsr(x86::msr::tsc_aux, v.tsc_aux);
}

void load_segments(ArchVcpu& v) {
    // Selectors first (they reset bases), then the bases. One that is no longer loadable becomes null, and the guest kernel is
    // told by its failsafe callback.
    bool all = true;
    const auto load = [&all](auto into, u16 selector) {
        if (into(selector)) return;
        (void)into(0);
        all = false;
    };
    load([](u16 s) { return cpu::try_load_ds(s); }, v.ds);
    load([](u16 s) { return cpu::try_load_es(s); }, v.es);
    load([](u16 s) { return cpu::try_load_fs(s); }, v.fs);
    load([](u16 s) { return cpu::try_load_gs(s); }, v.gs);
    if (!all) [[unlikely]] {
        v.lost = {v.ds, v.es, v.fs, v.gs};
        v.vcpu->pending_work.fetch_or(work::failsafe);
    }
    cpu::wrmsr(x86::msr::fs_base, v.fs_base);
    const bool kernel = v.kernel_mode != 0;
    cpu::wrmsr(x86::msr::gs_base, kernel ? v.gs_base_kernel : v.gs_base_user);
    cpu::wrmsr(x86::msr::kernel_gs_base, kernel ? v.gs_base_user : v.gs_base_kernel);
}

}  // namespace

void save_context(ArchVcpu& v) {
    v.ds = cpu::read_ds();
    v.es = cpu::read_es();
    v.fs = cpu::read_fs();
    v.gs = cpu::read_gs();
    v.fs_base = cpu::rdmsr(x86::msr::fs_base);
    const u64 active = cpu::rdmsr(x86::msr::gs_base);
    const u64 hidden = cpu::rdmsr(x86::msr::kernel_gs_base);
    v.gs_base_kernel = v.kernel_mode != 0 ? active : hidden;
    v.gs_base_user = v.kernel_mode != 0 ? hidden : active;
    save_fpu(v);
}

void load_context(ArchVcpu& v) {
    load_root(v, v.kernel_mode != 0 ? v.kernel_root : v.user_root);
    pv::load_descriptor_tables(v);
    load_segments(v);
    cpu::write_cr4(pv::host_cr4_for(v));
    pv::load_debug_registers(v);
    load_tsc_aux(v);
    load_fpu(v);
}

Result<> make_pv_vcpu(Vcpu& v) {
    ArchVcpu* arch = make_arch_vcpu(v);
    if (arch == nullptr) return fail(XEN_ENOMEM);
    arch->traps = static_cast<Trap*>(heap_allocate(256 * sizeof(Trap)));
    arch->fpu_area = static_cast<u8*>(heap_allocate(features().fpu_bytes));
    if (arch->traps == nullptr || arch->fpu_area == nullptr) {
        destroy_pv_vcpu(v);
        return fail(XEN_ENOMEM);
    }
    std::memcpy(arch->fpu_area, &initial_fcw, sizeof initial_fcw);
    std::memcpy(arch->fpu_area + 24, &initial_mxcsr, sizeof initial_mxcsr);
    // What switch_stacks pops when it first comes here: six registers, then where to go.
    u64* sp = reinterpret_cast<u64*>(&arch->guest) - 8;
    for (unsigned i = 0; i < 6; ++i) sp[i] = 0;
    sp[6] = reinterpret_cast<u64>(&new_vcpu_start);
    arch->saved_rsp = reinterpret_cast<u64>(sp);
    return {};
}

void destroy_pv_vcpu(Vcpu& v) {
    ArchVcpu* arch = std::exchange(v.arch, nullptr);
    if (arch == nullptr) return;
    heap_release(arch->traps, 256 * sizeof(Trap));
    heap_release(arch->fpu_area, features().fpu_bytes);
    release_stack(reinterpret_cast<u8*>(arch) + ARCH_VCPU_BYTES - STACK_BYTES);
}

namespace port {

Vcpu& current() {
    return *current_arch().vcpu;
}
CpuId this_cpu() {
    return current_arch().cpu->id;
}
CpuWork& cpu_work(CpuId cpu) {
    return cpu_by_id(cpu)->work;
}
CpuWork& this_cpu_work() {
    return current_arch().cpu->work;
}

void context_switch(Vcpu& from, Vcpu& to) {
    ArchVcpu& old = *from.arch;
    ArchVcpu& now = *to.arch;
    PerCpu& cpu = *old.cpu;
    if (!from.sched.is_idle) save_context(old);
    now.cpu = &cpu;
    cpu.running = &to;
    cpu.recorder->record(recorder::Event::run(to.domain.id, to.id, cpu::rdtsc()));
    set_entry_stack(cpu, now);
    if (to.sched.is_idle) {
        load_root(now, hypervisor_root());
        load_idle_descriptors(cpu);
    } else {
        load_context(now);
    }
    Vcpu* previous = switch_stacks(&old.saved_rsp, now.saved_rsp, &from);
    sched::finish_switch(*previous);
}

bool runstate_update_flag(Domain& d) {
    return d.arch->runstate_update_flag;
}

void wait_for_interrupt() {
    cpu::sleep_until_interrupt();
    look_for_nmi(*current_arch().cpu);
}

bool preemption_point() {
    if (current_arch().cpu->work.flags.load(std::memory_order_relaxed) != 0) [[unlikely]] {
        cpu::irq_disable();
        sched::preempt_if_needed();
        cpu::irq_enable();
    }
    return !current().sched.ending.load(std::memory_order_relaxed);
}

void send_event_check(CpuId cpu) {
    const PerCpu* other = cpu_by_id(cpu);
    if (other == current_arch().cpu) return;  // this CPU passes its exit path anyway
    irqchip::local_apic.send(other->apic_id, irqchip::ipi_event_check_vector);
}

}  // namespace port
}  // namespace xylem
