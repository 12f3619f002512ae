// SPDX-License-Identifier: MIT
#include "init/shutdown.hpp"

#include "arch/x86/irqchip/local_apic.hpp"
#include "arch/x86/power/power.hpp"
#include "base/log.hpp"
#include "core/port/sched.hpp"
#include "cpu/instructions.hpp"
#include "cpu/irqflags.hpp"
#include "init/hypervisor.hpp"

namespace xylem {
namespace {

void stop_other_cpus() {
    cpu::irq_disable();
    if (port::online_cpus() > 1) irqchip::local_apic.send_nmi_to_others();
}

}  // namespace

void reboot_machine() {
    stop_other_cpus();
    if (hypervisor().options.noreboot) {
        log::info("option noreboot: the machine stays halted");
        cpu::stop_forever();
    }
    power::RebootMethod method = power::RebootMethod::acpi;
    switch (hypervisor().options.reboot) {
        case init::RebootMethod::keyboard: method = power::RebootMethod::keyboard; break;
        case init::RebootMethod::pci: method = power::RebootMethod::pci; break;
        case init::RebootMethod::triple_fault: method = power::RebootMethod::triple_fault; break;
        default: break;
    }
    power::reboot(hypervisor().platform, method);
}

void machine_ends(u32 reason) {
    switch (reason) {
        case SHUTDOWN_poweroff:
            log::info("dom0 is done: powering off");
            stop_other_cpus();
            power::power_off(hypervisor().platform);
            log::error("the machine does not power off by ACPI; halted");
            cpu::stop_forever();
        case SHUTDOWN_crash: log::error("dom0 crashed: rebooting"); reboot_machine();
        case SHUTDOWN_watchdog: log::error("dom0's watchdog ran out: rebooting"); reboot_machine();
        default: log::info("dom0 asks for a reboot"); reboot_machine();
    }
}

Result<> enter_acpi_sleep(const xenpf_enter_acpi_sleep& request) {
    constexpr u32 soft_off = 5;
    if (request.sleep_state != soft_off) return fail(XEN_EOPNOTSUPP);
    log::info("dom0 enters ACPI state S5: powering off");
    stop_other_cpus();
    power::enter_sleep(hypervisor().platform, static_cast<u16>(request.val_a), static_cast<u16>(request.val_b));
    power::power_off(hypervisor().platform);
    log::error("the machine does not power off by ACPI; halted");
    cpu::stop_forever();
}

namespace port {
void machine_shutdown(u32 reason) { machine_ends(reason); }
}  // namespace port

}  // namespace xylem
