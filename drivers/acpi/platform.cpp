// SPDX-License-Identifier: MIT
#include "drivers/acpi/platform.hpp"

#include "base/log.hpp"
#include "drivers/acpi/madt.hpp"
#include "drivers/acpi/sleep_package.hpp"

namespace xylem::acpi {

namespace {

constexpr unsigned bits_of_length(u8 bytes) {
    return bytes > 8 ? 64 : bytes * 8U;
}

Register from_generic(const GenericAddress& generic, unsigned bits) {
    if (generic.address == 0) return {};
    Register result{Register::Space::none, static_cast<u8>(bits), generic.address};
    switch (AddressSpace{generic.space}) {
        case AddressSpace::memory: result.space = Register::Space::memory; break;
        case AddressSpace::io: result.space = generic.address <= 0xffff ? Register::Space::io : Register::Space::none; break;
        case AddressSpace::pci_config: result.space = Register::Space::pci_config; break;
    }
    return result.exists() ? result : Register{};
}

// A block that the FADT names twice. The bit widths of the extended form are often wrong in firmware: `bits` comes from the
// old length.
Register choose(const GenericAddress& extended, u32 port, unsigned bits) {
    const Register result = from_generic(extended, bits);
    if (result.exists() && result.space != Register::Space::pci_config) return result;
    if (port == 0 || port > 0xffff) return {};
    return {Register::Space::io, static_cast<u8>(bits), port};
}

void read_registers(const Fadt& fadt, PlatformInfo& info) {
    const unsigned event_bits = bits_of_length(fadt.pm1_event_length);
    const unsigned control_bits = bits_of_length(fadt.pm1_control_length);
    info.pm1a_event = choose(fadt.x_pm1a_event, fadt.pm1a_event, event_bits);
    info.pm1b_event = choose(fadt.x_pm1b_event, fadt.pm1b_event, event_bits);
    info.pm1a_control = choose(fadt.x_pm1a_control, fadt.pm1a_control, control_bits);
    info.pm1b_control = choose(fadt.x_pm1b_control, fadt.pm1b_control, control_bits);
    const bool wide_timer = (fadt.flags & fadt_timer_is_32_bit) != 0;
    info.pm_timer = choose(fadt.x_pm_timer, fadt.pm_timer, wide_timer ? 32 : 24);
    if (info.hardware_reduced) {
        info.sleep_control = from_generic(fadt.sleep_control, 8);
        info.sleep_status = from_generic(fadt.sleep_status, 8);
    }
    if ((fadt.flags & fadt_reset_supported) != 0) {
        info.reset = from_generic(fadt.reset_register, 8);
        info.reset_value = fadt.reset_value;
        if (!info.reset.exists()) log::warning("ACPI: FADT promises a reset register but names none that exists.");
    }
}

void read_facs(const Tables& tables, Maddr address, PlatformInfo& info) {
    if (address.raw == 0) return;
    constexpr usize smallest = offsetof(Facs, x_waking_vector);
    const u8* mapped = tables.memory().map(address, smallest);
    const Facs facs = mapped == nullptr ? Facs{} : prefix_as<Facs>({mapped, smallest});
    if (facs.signature != sig_facs || facs.length < smallest) {
        log::warning("ACPI: FACS at {:#x} is wrong (signature or length); ignoring it.", address);
        return;
    }
    info.facs = address;
}

void read_s5(const Tables& tables, Maddr dsdt, PlatformInfo& info) {
    if (const auto bytes = tables.at(dsdt, sig_dsdt))
        if (const auto types = find_s5(*bytes)) info.s5 = *types;
    for (usize i = 0; !info.s5.known && i < Tables::max_tables; ++i) {
        const auto bytes = tables.table(sig_ssdt, i);
        if (!bytes) break;
        if (const auto types = find_s5(*bytes)) info.s5 = *types;
    }
    if (!info.s5.known) log::warning("ACPI: No \\_S5_ package found: the machine can be powered off only by dom0's word.");
}

void read_fadt(const Tables& tables, PlatformInfo& info) {
    const auto bytes = tables.table(sig_fadt);
    if (!bytes || bytes->size() < fadt_v1_size) {
        log::warning("ACPI: {}; no PM timer, no power off and no reset through ACPI.",
                     std::string_view(bytes ? "FADT is too short" : "No usable FADT"));
        return;
    }
    const Fadt fadt = prefix_as<Fadt>(*bytes);
    info.has_fadt = true;
    info.hardware_reduced = (fadt.flags & fadt_hardware_reduced) != 0;
    info.sci_irq = fadt.sci_interrupt;
    info.smi_command_port = fadt.smi_command <= 0xffff ? fadt.smi_command : 0;
    info.acpi_enable = fadt.acpi_enable;
    info.rtc_century = fadt.century;
    info.has_rtc = fadt.header.revision < 2 || (fadt.boot_architecture & boot_no_cmos_rtc) == 0;
    read_registers(fadt, info);
    // From here on `bytes` may be gone.
    read_facs(tables, Maddr(fadt.x_facs != 0 ? fadt.x_facs : u64{fadt.facs}), info);
    read_s5(tables, Maddr(fadt.x_dsdt != 0 ? fadt.x_dsdt : u64{fadt.dsdt}), info);
}

void read_madt(const Tables& tables, PlatformInfo& info) {
    const auto bytes = tables.table(sig_madt);
    if (!bytes || bytes->size() < sizeof(Madt)) {
        log::error("ACPI: {}; continuing with the boot CPU only and without I/O APICs.",
                   std::string_view(bytes ? "MADT is too short" : "No usable MADT"));
        return;
    }
    parse_madt(*bytes, info);
    if (info.cpus.empty()) log::warning("ACPI: MADT lists no CPU; continuing with the boot CPU only.");
    if (info.io_apics.empty()) log::error("ACPI: MADT lists no I/O APIC: devices' interrupts cannot be delivered.");
}

void read_hpet(const Tables& tables, PlatformInfo& info) {
    const auto bytes = tables.table(sig_hpet);
    if (!bytes) return;
    const Hpet hpet = prefix_as<Hpet>(*bytes);
    const bool usable = bytes->size() >= sizeof(Hpet) && AddressSpace{hpet.address.space} == AddressSpace::memory &&
                        hpet.address.address != 0 && (hpet.address.address & 7) == 0;
    if (!usable) {
        log::warning("ACPI: HPET names no usable register block; ignoring the table.");
        return;
    }
    info.hpet = Maddr(hpet.address.address);
}

void read_mcfg(const Tables& tables, PlatformInfo& info) {
    const auto bytes = tables.table(sig_mcfg);
    if (!bytes) return;
    for (usize at = sizeof(Mcfg); at + sizeof(McfgEntry) <= bytes->size(); at += sizeof(McfgEntry)) {
        const McfgEntry entry = prefix_as<McfgEntry>(bytes->subspan(at));
        constexpr u64 ecam_bus_bytes = mib;
        if (entry.address == 0 || (entry.address & (ecam_bus_bytes - 1)) != 0 || entry.first_bus > entry.last_bus ||
            entry.address > (u64{1} << 52) - 256 * ecam_bus_bytes) {
            log::warning("ACPI: MCFG entry for segment {}, buses {}-{} at {:#x} is wrong; ignoring it.", u16{entry.segment},
                         entry.first_bus, entry.last_bus, u64{entry.address});
            continue;
        }
        if (!info.ecam.push({Maddr(entry.address), entry.segment, entry.first_bus, entry.last_bus})) {
            log::warning("ACPI: MCFG has more than {} entries; ignoring the rest.", max_ecam_ranges);
            return;
        }
    }
}

}  // namespace

void read_platform(const Tables& tables, PlatformInfo& info) {
    info.rsdp = tables.rsdp();
    info.acpi_revision = tables.revision();
    read_fadt(tables, info);  // before the MADT: overrides of the SCI are read in its light
    read_madt(tables, info);
    read_hpet(tables, info);
    read_mcfg(tables, info);
    info.dmar = tables.address_of(sig_dmar).value_or(Maddr());
    info.ivrs = tables.address_of(sig_ivrs).value_or(Maddr());
}

}  // namespace xylem::acpi
