// SPDX-License-Identifier: MIT
#include "arch/x86/entry/report.hpp"

#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/entry/flight_recorder.hpp"
#include "arch/x86/entry/symbols.hpp"
#include "arch/x86/irqchip/local_apic.hpp"
#include "arch/x86/pv/hypercalls.hpp"
#include "base/log.hpp"
#include "base/panic.hpp"
#include "core/console/console.hpp"
#include "core/domain/domain.hpp"
#include "core/port/machine.hpp"
#include "cpu/guest_access.hpp"
#include "cpu/instructions.hpp"
#include "cpu/irqflags.hpp"
#include "cpu/layout.hpp"
#include "hw/x86/registers.hpp"
#include "init/hypervisor.hpp"
#include "init/shutdown.hpp"

namespace xylem {
namespace {

constexpr const char* vector_names[] = {"divide error",
                                        "debug",
                                        "NMI",
                                        "breakpoint",
                                        "overflow",
                                        "bounds",
                                        "invalid opcode",
                                        "device not available",
                                        "double fault",
                                        "?",
                                        "invalid TSS",
                                        "segment not present",
                                        "stack fault",
                                        "general protection fault",
                                        "page fault",
                                        "?",
                                        "x87 error",
                                        "alignment check",
                                        "machine check",
                                        "SIMD error"};

// The CPU that ends the machine; all others stop.
constexpr u32 nobody = ~u32{0};
constinit std::atomic<u32> last_cpu{nobody};
constinit bool reports = false;  // that CPU's

u32 this_cpu_or_first() {
    const PerCpu* cpu = current_arch().cpu;
    return cpu != nullptr ? cpu->id.raw : 0;
}

void become_last_cpu() {
    u32 was = nobody;
    const u32 self = this_cpu_or_first();
    if (!last_cpu.compare_exchange_strong(was, self) && was != self) cpu::stop_forever();
}

void show_registers(const Frame& f) {
    log::error("rax {:016x} rbx {:016x} rcx {:016x} rdx {:016x}", f.rax, f.rbx, f.rcx, f.rdx);
    log::error("rsi {:016x} rdi {:016x} rbp {:016x} rsp {:016x}", f.rsi, f.rdi, f.rbp, f.rsp);
    log::error("r8  {:016x} r9  {:016x} r10 {:016x} r11 {:016x}", f.r8, f.r9, f.r10, f.r11);
    log::error("r12 {:016x} r13 {:016x} r14 {:016x} r15 {:016x}", f.r12, f.r13, f.r14, f.r15);
    log::error("rip {:016x} cs {:04x} rflags {:08x} ss {:04x}", f.rip, f.cs & 0xffff, f.rflags, f.ss & 0xffff);
    log::error("cr0 {:08x} cr2 {:016x} cr3 {:016x} cr4 {:08x}", cpu::read_cr0(), cpu::read_cr2(), cpu::read_cr3(),
               cpu::read_cr4());
}

void show_symbol(u64 address) {
    const Symbol s = symbol_of(address);
    if (!s.name.empty())
        log::error("  {:016x}  {} + {:#x}", address, s.name, s.offset);
    else
        log::error("  {:016x}  outside the hypervisor's code", address);
}

// Frame pointers are kept in every function: follow them.
void show_stack(u64 rip, u64 rbp) {
    log::error("stack:");
    show_symbol(rip);
    for (int depth = 0; depth < 24; ++depth) {
        u64 next = 0;
        u64 ret = 0;
        if (!layout::in_hypervisor(rbp) || (rbp & 7) != 0 || !cpu::read_u64(rbp, next) || !cpu::read_u64(rbp + 8, ret)) return;
        show_symbol(ret);
        if (next <= rbp) return;
        rbp = next;
    }
}

void show_context() {
    const ArchVcpu& here = current_arch();
    // NMI and its like have stacks of their own: ask the CPU.
    const Vcpu* running = here.vcpu != nullptr || here.cpu == nullptr ? here.vcpu : here.cpu->running;
    if (running == nullptr) return;
    const Vcpu& vcpu = *running;
    const ArchVcpu& v = *vcpu.arch;
    if (vcpu.sched.is_idle) {
        log::error("CPU {}: idle", v.cpu->id);
    } else if (v.guest.entry_vector == frame_by_syscall && v.kernel_mode != 0) {
        log::error("CPU {}: d{}v{}, hypercall {} ({})", v.cpu->id, vcpu.domain.id, vcpu.id, pv::hypercall_name(v.guest.rax & 63),
                   v.guest.rax);
    } else {
        log::error("CPU {}: d{}v{}", v.cpu->id, vcpu.domain.id, vcpu.id);
    }
}

void begin(std::string_view reason) {
    cpu::irq_disable();
    become_last_cpu();
    if (std::exchange(reports, true)) cpu::stop_forever();  // the report itself failed
    // Nobody goes on, or worse, prints in between.
    if (port::online_cpus() > 1) irqchip::local_apic.send_nmi_to_others();
    console::the_console().enter_panic();
    log::error("");
    log::error("****************************************");
    log::error("Xylem stops: {}", reason);
    text::FixedText<64> id;
    for (u8 b : build_id()) text::format(id, "{:02x}", b);
    log::error("build id {}", id.view());
    recorder::stops(reason);
}

[[noreturn]] void end() {
    constexpr usize events = 16;
    recorder::show(log::Level::error, events);
    log::error("****************************************");
    if (hypervisor().options.noreboot || !hypervisor().started) {
        log::error("The machine is halted. Please report the lines above.");
        cpu::stop_forever();
    }
    log::error("Rebooting. Please report the lines above.");
    reboot_machine();
}

}  // namespace

void report_and_stop_with(const Frame& f, std::string_view reason) {
    begin(reason);
    if (hypervisor().started) show_context();
    show_registers(f);
    if (!layout::in_hypervisor(f.rip)) end();
    // A function that calls nothing has no frame yet, or none at all: what called it may be on top of the stack.
    u64 top = 0;
    if (layout::in_hypervisor(f.rsp) && (f.rsp & 7) == 0 && cpu::read_u64(f.rsp, top) && !symbol_of(top).name.empty()) {
        log::error("top of the stack:");
        show_symbol(top);
    }
    show_stack(f.rip, f.rbp);
    end();
}

void panic_with(std::string_view reason) {
    const u64 rbp = *static_cast<const u64*>(__builtin_frame_address(0));  // the caller's
    begin(reason);
    if (hypervisor().started) show_context();
    show_stack(reinterpret_cast<u64>(__builtin_return_address(0)), rbp);
    end();
}

void bug_at(const char* condition, const char* file, unsigned line) {
    panic("internal error: \"{}\" at {}:{}", condition, file, line);
}

const char* exception_name(u64 vector) {
    return vector < std::size(vector_names) ? vector_names[vector] : "?";
}

void report_fault(const Frame& f) {
    const char* name = f.entry_vector < std::size(vector_names) ? vector_names[f.entry_vector] : "unexpected interrupt";
    report_and_stop(f, "{} (error code {:#x})", name, f.error_code);
}

void stop_other_cpus() {
    become_last_cpu();
    if (port::online_cpus() > 1) irqchip::local_apic.send_nmi_to_others();
}

bool another_cpu_ends_the_machine() {
    const u32 last = last_cpu.load();
    return last != nobody && last != this_cpu_or_first();
}

namespace port {

void dump_guest_state(Vcpu& v) {
    const Frame& f = v.arch->guest;
    log::error("d{}v{} in {} mode:", v.domain.id, v.id, v.arch->kernel_mode != 0 ? "kernel" : "user");
    show_registers(f);
    log::error("page-table roots: kernel {:#x} user {:#x}", v.arch->kernel_root, v.arch->user_root);
    if (&v != &current()) return;  // another's stack is not in this address space
    u64 words[8]{};
    if (!copy_from_guest(words, f.rsp, sizeof words)) return;
    log::error("stack {:016x} {:016x} {:016x} {:016x}", words[0], words[1], words[2], words[3]);
    log::error("      {:016x} {:016x} {:016x} {:016x}", words[4], words[5], words[6], words[7]);
}

}  // namespace port
}  // namespace xylem
