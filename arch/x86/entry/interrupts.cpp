// SPDX-License-Identifier: MIT
// What the entry code calls: faults and interrupts, from guests and from the hypervisor itself.
#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/entry/nmi.hpp"
#include "arch/x86/entry/report.hpp"
#include "arch/x86/irqchip/local_apic.hpp"
#include "arch/x86/irqchip/vectors.hpp"
#include "arch/x86/mm/tlb.hpp"
#include "arch/x86/pv/guest_entry.hpp"
#include "arch/x86/pv/roots.hpp"
#include "arch/x86/pv/traps.hpp"
#include "base/log.hpp"
#include "core/irq/line.hpp"
#include "core/sched/scheduler.hpp"
#include "core/sched/timer.hpp"
#include "cpu/instructions.hpp"
#include "cpu/irqflags.hpp"
#include "hw/x86/registers.hpp"
#include "init/debug_keys.hpp"
#include "init/hypervisor.hpp"

extern "C" {
struct Fixup {
    unsigned long from, to;
};
extern const Fixup exception_table_begin[], exception_table_end[];
void guest_iret();
void exit_work(xylem::Frame* frame);
void handle_from_guest(xylem::Frame* frame);
xylem::Frame* handle_from_hypervisor(xylem::Frame* frame);
void handle_on_own_stack(xylem::Frame* frame);
void handle_own_debug_trap(xylem::Frame* frame);
void finish_first_switch(xylem::Vcpu* previous);
}

namespace xylem {
namespace {

ArchVcpu& vcpu_of(Frame* frame) {
    return *reinterpret_cast<ArchVcpu*>(reinterpret_cast<u8*>(frame) + ARCH_FROM_FRAME);
}

// Where an instruction that may fault continues; 0 = it may not.
u64 fixup_for(u64 rip) {
    for (const Fixup* f = exception_table_begin; f != exception_table_end; ++f)
        if (f->from == rip) return f->to;
    return 0;
}

void interrupt(const Frame& frame, PerCpu& cpu) {
    const u32 vector = frame.entry_vector;
    cpu.recorder->record(recorder::Event::make(recorder::Kind::interrupt, static_cast<u8>(vector), frame.rip, cpu::rdtsc()));
    switch (vector) {
        case irqchip::timer_vector:
            irqchip::local_apic.eoi();
            timers_run();
            break;
        case irqchip::ipi_event_check_vector: irqchip::local_apic.eoi(); break;  // the exit path looks
        case irqchip::ipi_tlb_flush_vector:
            irqchip::local_apic.eoi();
            on_tlb_flush_ipi();
            break;
        case irqchip::spurious_vector: break;
        case irqchip::error_vector:
            log::warning("APIC error on CPU {}: status {:#x}", cpu.id, irqchip::local_apic.take_errors());
            irqchip::local_apic.eoi();
            break;
        default: irq::on_vector(static_cast<u8>(vector)); break;
    }
}

void record_trap(const Frame& frame, PerCpu& cpu, u64 value) {
    cpu.recorder->record(recorder::Event::make(recorder::Kind::trap, static_cast<u8>(frame.entry_vector), frame.rip, value));
}

}  // namespace
}  // namespace xylem

using namespace xylem;

void handle_from_guest(Frame* frame) {
    ArchVcpu& v = vcpu_of(frame);
    const u32 vector = frame->entry_vector;
    if (vector < 32 || vector == 0x80) {
        const u64 address = vector == x86::vector::page_fault ? cpu::read_cr2() : 0;
        record_trap(*frame, *v.cpu, vector == x86::vector::page_fault ? address : frame->error_code);
        cpu::irq_enable();
        pv::handle_exception(v, vector, address);
        cpu::irq_disable();
        return;
    }
    interrupt(*frame, *v.cpu);
}

// Null: go on where it was interrupted. Else: leave to the guest with this frame.
Frame* handle_from_hypervisor(Frame* frame) {
    const u32 vector = frame->entry_vector;
    if (vector >= 32) {
        interrupt(*frame, *current_arch().cpu);
        return nullptr;
    }
    // Before dom0 runs there are stacks without a CPU.
    if (hypervisor().started)
        record_trap(*frame, *current_arch().cpu, vector == x86::vector::page_fault ? cpu::read_cr2() : frame->error_code);
    if (const u64 to = fixup_for(frame->rip); to != 0) {
        frame->rip = to;
        return nullptr;
    }
    if (frame->rip == reinterpret_cast<u64>(&guest_iret)) {
        // The guest's own values made its iret fault: its exception. The fault's frame lies over the guest's, whose general
        // registers were popped already and stand in the fault's frame.
        ArchVcpu& v = current_arch();
        const u32 error = frame->error_code;
        __builtin_memmove(&v.guest, frame, FRAME_ERROR_CODE);
        pv::deliver_iret_fault(v, vector, error, cpu::read_cr2());
        return &v.guest;
    }
    report_fault(*frame);
}

void handle_on_own_stack(Frame* frame) {
    if (frame->entry_vector == x86::vector::nmi) return handle_nmi(*frame);
    report_fault(*frame);
}

// A guest's breakpoint on memory that the hypervisor touched on its behalf, or single-step over `syscall`: not worth a word.
void handle_own_debug_trap(Frame* frame) {
    cpu::write_dr<6>(0xffff0ff0);
    frame->rflags &= ~x86::rflags::tf;
}

void exit_work(Frame* frame) {
    ArchVcpu& v = vcpu_of(frame);
    Vcpu& vcpu = *v.vcpu;
    const bool held = (vcpu.pending_work.load(std::memory_order_relaxed) & (work::stop | work::end)) != 0;
    if (held || v.cpu->work.flags.load(std::memory_order_relaxed) != 0) sched::exit_point();
    look_for_nmi(*v.cpu);
    if (keys_are_waiting()) [[unlikely]] {
        cpu::irq_enable();
        run_waiting_keys();
        cpu::irq_disable();
    }
    const u32 pending = vcpu.pending_work.load(std::memory_order_relaxed);
    if (pending != 0) {
        if ((pending & work::update_runstate) != 0) {
            vcpu.pending_work.fetch_and(~work::update_runstate);
            const pv::KernelView view(v);
            publish_runstate(vcpu);
        }
        if ((pending & work::failsafe) != 0) {
            vcpu.pending_work.fetch_and(~work::failsafe);
            pv::deliver_failsafe(v);
        }
        if ((pending & work::nmi) != 0) {
            vcpu.pending_work.fetch_and(~work::nmi);
            if (v.nmi_in_progress)
                v.nmi_held = true;
            else
                pv::deliver_nmi(v);
        }
    }
    if (event_deliverable(vcpu)) pv::deliver_event(v);
}

void finish_first_switch(Vcpu* previous) {
    sched::finish_switch(*previous);
    port::current().sched.at_exit.store(false, std::memory_order_relaxed);
}
