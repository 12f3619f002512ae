// SPDX-License-Identifier: MIT
#include "arch/x86/entry/nmi.hpp"

#include "abi/xen.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/entry/report.hpp"
#include "base/log.hpp"
#include "core/domain/domain.hpp"
#include "cpu/instructions.hpp"
#include "cpu/port_io.hpp"
#include "init/hypervisor.hpp"
#include "init/watchdog.hpp"

namespace xylem {
namespace {

// The PC's port of NMI sources. Its lower half can be written; dom0's kernel may not.
constexpr u16 status_port = 0x61;
constexpr u8 system_error = 1U << 7;
constexpr u8 io_check = 1U << 6;
constexpr u8 no_system_errors = 1U << 2;
constexpr u8 no_io_checks = 1U << 3;
constexpr u8 writable = 0x0f;

struct Source {
    unsigned long reason;  // as shared_info tells it [xen/nmi.h]
    const char* name;
    u8 off;  // the bit that clears it and keeps it quiet; 0: there is none
};

Source source_of(u8 status) {
    if ((status & system_error) != 0) return {XEN_NMIREASON_pci_serr, "PCI system error", no_system_errors};
    if ((status & io_check) != 0) return {XEN_NMIREASON_io_error, "I/O check", no_io_checks};
    return {XEN_NMIREASON_unknown, "unknown source", 0};
}

void tell_dom0(const Source& source) {
    const DomainRef d = find_domain(DomId(0));
    if (!d) return;
    __atomic_fetch_or(&d->shared->arch.nmi_reason, source.reason, __ATOMIC_SEQ_CST);
    send_nmi(*d->vcpus[0]);
}

}  // namespace

void handle_nmi(const Frame& frame) {
    if (another_cpu_ends_the_machine()) {
        cpu::wbinvd();  // the flight recorder's newest events: a reset forgets the caches
        cpu::stop_forever();
    }
    PerCpu& cpu = *current_arch().cpu;
    const init::Options& options = hypervisor().options;
    if (watchdog::asks(cpu.id))
        report_and_stop(frame, "watchdog: CPU {} took no timer interrupt for {} s", cpu.id, options.watchdog_timeout);
    if (options.nmi == init::NmiAction::fatal)
        report_and_stop(frame, "NMI on CPU {}: {} (option nmi=fatal)", cpu.id, source_of(cpu::in8(status_port)).name);
    cpu.nmi_came.store(true, std::memory_order_relaxed);
    cpu.work.flags.fetch_or(CpuWork::reschedule);
}

void tell_of_nmi(PerCpu& cpu) {
    cpu.nmi_came.store(false, std::memory_order_relaxed);
    if (hypervisor().options.nmi == init::NmiAction::ignore) return;
    const u8 status = cpu::in8(status_port);
    const Source source = source_of(status);
    if (source.off != 0) cpu::out8(status_port, static_cast<u8>((status & writable) | source.off));
    log::error("NMI on CPU {}: {}; dom0 is told", cpu.id, source.name);
    tell_dom0(source);
}

}  // namespace xylem
