// SPDX-License-Identifier: MIT
#include "drivers/acpi/madt.hpp"

#include "base/log.hpp"

namespace xylem::acpi {

namespace {

constexpr u64 one_past_address_space = u64{1} << 52;

// GSIs beyond this bound would make tables by GSI huge; the numbers in use are a few hundred.
constexpr u32 gsi_limit = 1U << 16;

// [ACPI 6.5, table 5.26] Bits 0-1 polarity, 2-3 trigger; 0 means "as the bus does".
InterruptMode mode_of(u16 flags, InterruptMode bus) {
    InterruptMode mode = bus;
    if ((flags & 3) == 1) mode.polarity = Polarity::high;
    if ((flags & 3) == 3) mode.polarity = Polarity::low;
    if ((flags >> 2 & 3) == 1) mode.trigger = Trigger::edge;
    if ((flags >> 2 & 3) == 3) mode.trigger = Trigger::level;
    return mode;
}

class Parser {
   public:
    explicit Parser(PlatformInfo& info) : info_(info) {}

    void entry(TableBytes bytes) {
        switch (MadtType{bytes[0]}) {
            case MadtType::local_apic: with<MadtLocalApic>(bytes, [&](const auto& e) { local_apic(e); }); break;
            case MadtType::local_x2apic: with<MadtLocalX2apic>(bytes, [&](const auto& e) { local_x2apic(e); }); break;
            case MadtType::io_apic: with<MadtIoApic>(bytes, [&](const auto& e) { io_apic(e); }); break;
            case MadtType::interrupt_override: with<MadtOverride>(bytes, [&](const auto& e) { interrupt_override(e); }); break;
            case MadtType::local_apic_address:
                with<MadtLocalApicAddress>(bytes, [&](const auto& e) { address(e.address); });
                break;
            case MadtType::local_apic_nmi:
                with<MadtLocalApicNmi>(bytes,
                                       [&](const auto& e) { nmi(e.acpi_id == 0xff ? all_cpus : e.acpi_id, e.lint, e.flags); });
                break;
            case MadtType::local_x2apic_nmi:
                with<MadtLocalX2apicNmi>(bytes, [&](const auto& e) { nmi(e.acpi_id, e.lint, e.flags); });
                break;
            // NMIs of the chipset stay masked: there is nobody to handle them.
            case MadtType::nmi_source: break;
        }
    }

    void address(u64 at) {
        if (at == 0 || (at & page_mask) != 0 || at >= one_past_address_space)
            log::warning("ACPI: MADT puts the local APIC at {:#x}, which cannot be; keeping {:#x}.", at, info_.local_apic);
        else
            info_.local_apic = Maddr(at);
    }

    void finish() const {
        if (cpus_left_out_ != 0)
            log::warning("ACPI: MADT lists {} CPUs more than the {} we can use; ignoring those.", cpus_left_out_, max_cpus);
    }

   private:
    template <class T, class F>
    void with(TableBytes bytes, F handle) {
        if (bytes.size() < sizeof(T))
            log::warning("ACPI: MADT entry of type {} is only {} bytes long; ignoring it.", bytes[0], bytes.size());
        else
            handle(prefix_as<T>(bytes));
    }

    void cpu(const Cpu& candidate) {
        if (!candidate.enabled && !candidate.online_capable) return;
        for (const Cpu& known : info_.cpus)
            if (known.apic_id == candidate.apic_id) return;  // listed as local APIC and as x2APIC
        if (!info_.cpus.push(candidate)) ++cpus_left_out_;
    }

    void local_apic(const MadtLocalApic& e) {
        if (e.apic_id == 0xff) return;  // the broadcast id: an unused slot
        cpu({e.apic_id, e.acpi_id, (e.flags & madt_cpu_enabled) != 0, (e.flags & madt_cpu_online_capable) != 0});
    }

    void local_x2apic(const MadtLocalX2apic& e) {
        if (e.apic_id == ~u32{0}) return;
        cpu({e.apic_id, e.acpi_id, (e.flags & madt_cpu_enabled) != 0, (e.flags & madt_cpu_online_capable) != 0});
    }

    void io_apic(const MadtIoApic& e) {
        for (const IoApic& known : info_.io_apics) {
            if (known.address.raw == e.address || known.gsi_base.raw == e.gsi_base) {
                log::warning("ACPI: MADT's I/O APIC {} at {:#x}, GSI {} repeats another one; ignoring it.", e.id, u32{e.address},
                             u32{e.gsi_base});
                return;
            }
        }
        if (e.address == 0 || (e.address & 0xf) != 0 || e.gsi_base >= gsi_limit) {
            log::warning("ACPI: MADT's I/O APIC {} at {:#x}, GSI {} cannot be; ignoring it.", e.id, u32{e.address},
                         u32{e.gsi_base});
            return;
        }
        if (!info_.io_apics.push({e.id, Maddr(e.address), Gsi(e.gsi_base)}))
            log::warning("ACPI: MADT lists more than {} I/O APICs; ignoring number {}.", max_io_apics, e.id);
    }

    void interrupt_override(const MadtOverride& e) {
        if (e.bus != 0 || e.source > 15 || e.gsi >= gsi_limit) {
            log::warning("ACPI: MADT overrides interrupt {} of bus {} by GSI {}, which cannot be; ignoring it.", e.source, e.bus,
                         u32{e.gsi});
            return;
        }
        const InterruptMode bus = e.source == info_.sci_irq ? pci_mode : isa_mode;
        const Override parsed{e.source, Gsi(e.gsi), mode_of(e.flags, bus)};
        for (Override& known : info_.overrides) {
            if (known.isa_irq != parsed.isa_irq) continue;
            log::warning("ACPI: MADT overrides ISA interrupt {} twice; the last one counts.", e.source);
            known = parsed;
            return;
        }
        if (!info_.overrides.push(parsed)) log::warning("ACPI: MADT has more than {} interrupt overrides.", max_overrides);
    }

    void nmi(u32 acpi_id, u8 lint, u16 flags) {
        if (lint > 1 || !info_.local_nmis.push({acpi_id, lint, mode_of(flags, isa_mode)}))
            log::debug("ACPI: MADT's NMI on LINT {} of CPU {} ignored.", lint, acpi_id);
    }

    PlatformInfo& info_;
    unsigned cpus_left_out_ = 0;
};

}  // namespace

void parse_madt(TableBytes table, PlatformInfo& info) {
    const Madt madt = prefix_as<Madt>(table);
    info.has_8259 = (madt.flags & madt_has_8259) != 0;
    Parser parser(info);
    parser.address(madt.local_apic);
    TableBytes rest = table.subspan(sizeof(Madt));
    while (rest.size() >= sizeof(MadtEntry)) {
        const usize length = rest[1];
        if (length < sizeof(MadtEntry) || length > rest.size()) {
            log::warning("ACPI: MADT entry of type {} has the impossible length {}; ignoring the rest of the table.", rest[0],
                         length);
            break;
        }
        parser.entry(rest.first(length));
        rest = rest.subspan(length);
    }
    parser.finish();
}

}  // namespace xylem::acpi
