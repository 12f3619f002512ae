// SPDX-License-Identifier: MIT
// platform_op [ABI.md 4.8]: what only the hardware domain may ask of the machine.
#include <cstring>

#include "abi/errno.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/entry/setup.hpp"
#include "arch/x86/pv/cpu_info.hpp"
#include "arch/x86/pv/hypercalls.hpp"
#include "arch/x86/time/wall_clock.hpp"
#include "core/domain/domain.hpp"
#include "core/port/guest.hpp"
#include "init/firmware.hpp"
#include "init/hypervisor.hpp"
#include "init/shutdown.hpp"

namespace xylem::pv {
namespace {

Result<> get_cpu_info(xenpf_pcpuinfo& info) {
    const u32 present = port::online_cpus();
    info.max_present = present - 1;
    const PerCpu* cpu = info.xen_cpuid < present ? cpu_by_id(CpuId(info.xen_cpuid)) : nullptr;
    if (cpu == nullptr) {
        info.flags = XEN_PCPU_FLAGS_INVALID;
        return {};
    }
    info.apic_id = cpu->apic_id;
    info.acpi_id = cpu->apic_id;
    for (const acpi::Cpu& c : hypervisor().platform.cpus)
        if (c.apic_id == cpu->apic_id) info.acpi_id = c.acpi_id;
    info.flags = XEN_PCPU_FLAGS_ONLINE;
    return {};
}

// Nothing for a CPU that there is not.
Result<> get_cpu_version(xenpf_pcpu_version& version) {
    const u32 asked = version.xen_cpuid;
    version = {};
    version.xen_cpuid = asked;
    version.max_present = port::online_cpus() - 1;
    if (asked > version.max_present) return {};
    const CpuModel model = cpu_model();
    std::memcpy(version.vendor_id, model.vendor, sizeof model.vendor);
    version.family = model.family;
    version.model = model.model;
    version.stepping = model.stepping;
    return {};
}

Result<> firmware_info(xenpf_firmware_info& info) {
    switch (info.type) {
        case XEN_FW_KBD_SHIFT_FLAGS: info.u.kbd_shift_flags = keyboard_shift_flags(); return {};
        case XEN_FW_EFI_INFO: return efi_info(info);
        case XEN_FW_DISK_INFO:
        case XEN_FW_DISK_MBR_SIGNATURE:
        case XEN_FW_VBEDDC_INFO: return fail(XEN_ESRCH);  // the loader tells us of no BIOS disks
        default: return fail(XEN_EINVAL);
    }
}

Result<> perform(xen_platform_op& op) {
    switch (op.cmd) {
        case XENPF_settime32:
            set_wall_clock(op.u.settime32.secs, op.u.settime32.nsecs, static_cast<Nanos>(op.u.settime32.system_time));
            return {};
        case XENPF_settime64:
            if (op.u.settime64.mbz != 0) return fail(XEN_EINVAL);
            set_wall_clock(op.u.settime64.secs, op.u.settime64.nsecs, static_cast<Nanos>(op.u.settime64.system_time));
            return {};
        case XENPF_cpu_online:  // all that can be are
            if (op.u.cpu_ol.cpuid >= port::online_cpus()) return fail(XEN_EINVAL);
            return {};
        case XENPF_get_cpuinfo: return get_cpu_info(op.u.pcpu_info);
        case XENPF_firmware_info: return firmware_info(op.u.firmware_info);
        case XENPF_efi_runtime_call: return efi_runtime_call(op.u.efi_runtime_call);
        case XENPF_enter_acpi_sleep: return enter_acpi_sleep(op.u.enter_acpi_sleep);
        case XENPF_get_cpu_version: return get_cpu_version(op.u.pcpu_version);
        case XENPF_set_processor_pminfo:  // power states are left to the firmware's defaults
            if (op.u.set_pminfo.type > XEN_PM_PDC) return fail(XEN_EINVAL);
            return {};
        default: return fail(XEN_ENOSYS);
    }
}

}  // namespace

long hypercall_platform_op(u64 arg, u64, u64, u64, u64, u64) {
    if (!current_arch().vcpu->domain.is_hardware_domain) return -static_cast<long>(XEN_EPERM);
    const GuestPtr<xen_platform_op> at(arg);
    Result<xen_platform_op> op = at.read();
    if (!op) return to_hypercall_result(op.error());
    if (op->interface_version != XENPF_INTERFACE_VERSION) return -static_cast<long>(XEN_EACCES);
    if (Result<> r = perform(*op); !r) return to_hypercall_result(r.error());
    const Result<> out = at.write(*op);
    return out ? 0 : to_hypercall_result(out.error());
}

}  // namespace xylem::pv
