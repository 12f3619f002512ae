// SPDX-License-Identifier: MIT
#include "init/shutdown.hpp"

#include "arch/x86/entry/flight_recorder.hpp"
#include "arch/x86/entry/report.hpp"
#include "arch/x86/power/power.hpp"
#include "base/log.hpp"
#include "cpu/instructions.hpp"
#include "cpu/irqflags.hpp"
#include "init/efi/services.hpp"
#include "init/hypervisor.hpp"

namespace xylem {
namespace {

void stop_others() {
    cpu::irq_disable();
    stop_other_cpus();
}

}  // namespace

void reboot_machine() {
    stop_others();
    cpu::wbinvd();  // what the flight recorder keeps must be in memory: a reset forgets the caches
    const init::RebootMethod asked = hypervisor().options.reboot;
    if (hypervisor().options.noreboot || asked == init::RebootMethod::none) {
        log::info("option {}: the machine stays halted", hypervisor().options.noreboot ? "noreboot" : "reboot=no");
        cpu::stop_forever();
    }
    power::RebootMethod method = power::RebootMethod::acpi;
    switch (asked) {
        case init::RebootMethod::keyboard: method = power::RebootMethod::keyboard; break;
        case init::RebootMethod::power:
        case init::RebootMethod::pci: method = power::RebootMethod::pci; break;
        case init::RebootMethod::triple_fault: method = power::RebootMethod::triple_fault; break;
        case init::RebootMethod::efi: efi::reset(efi::Reset::cold); break;
        // Hardware-reduced machines and some laptops know the firmware's way only: second after ACPI's register.
        default:
            if (!hypervisor().platform.reset.exists()) efi::reset(efi::Reset::cold);
            break;
    }
    power::reboot(hypervisor().platform, method);
}

void machine_ends(u32 reason) {
    switch (reason) {
        case SHUTDOWN_poweroff:
            log::info("dom0 is done: powering off");
            recorder::ends();
            stop_others();
            power::power_off(hypervisor().platform);
            log::error("the machine does not power off by ACPI; halted");
            cpu::stop_forever();
        case SHUTDOWN_crash: log::error("dom0 crashed: rebooting"); reboot_machine();
        case SHUTDOWN_watchdog: log::error("dom0's watchdog ran out: rebooting"); reboot_machine();
        default:
            log::info("dom0 asks for a reboot");
            recorder::ends();
            reboot_machine();
    }
}

Result<> enter_acpi_sleep(const xenpf_enter_acpi_sleep& request) {
    constexpr u32 soft_off = 5;
    if (request.sleep_state != soft_off) return fail(XEN_EOPNOTSUPP);
    log::info("dom0 enters ACPI state S5: powering off");
    recorder::ends();
    stop_others();
    power::enter_sleep(hypervisor().platform, static_cast<u16>(request.val_a), static_cast<u16>(request.val_b));
    power::power_off(hypervisor().platform);
    log::error("the machine does not power off by ACPI; halted");
    cpu::stop_forever();
}

namespace port {
void machine_shutdown(u32 reason) {
    machine_ends(reason);
}
}  // namespace port

}  // namespace xylem
