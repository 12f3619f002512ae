// SPDX-License-Identifier: MIT
#include "arch/x86/irqchip/io_apic.hpp"

#include "abi/errno.hpp"
#include "arch/x86/mm/ioremap.hpp"
#include "base/log.hpp"
#include "cpu/mmio.hpp"

namespace xylem::irqchip {

using namespace hw::io_apic;

u32 IoApics::read(const Chip& chip, u8 reg) {
    cpu::mmio_write32(chip.window, index_offset, reg);
    return cpu::mmio_read32(chip.window, data_offset);
}

void IoApics::write(const Chip& chip, u8 reg, u32 value) {
    cpu::mmio_write32(chip.window, index_offset, reg);
    cpu::mmio_write32(chip.window, data_offset, value);
}

void IoApics::init(const acpi::PlatformInfo& info) {
    for (const acpi::IoApic& description : info.io_apics) add(description);
    mask_all();
}

void IoApics::add(const acpi::IoApic& description) {
    Chip chip{ioremap_uncached(description.address, window_size), description.address, description.gsi_base.raw, 0, pins_used_};
    const u32 version = read(chip, reg_version);
    chip.pins = pins_of(version);
    constexpr u32 most_pins = 120;  // 240 registers at most behind an 8-bit index
    if (version == ~u32{0} || chip.pins > most_pins) {
        log::warning("I/O APIC {} at {:#x} does not answer (version {:#x}); ignoring it.", description.id, chip.address, version);
        return;
    }
    for (const Chip& other : chips()) {
        if (chip.gsi_base < other.gsi_base + other.pins && other.gsi_base < chip.gsi_base + chip.pins) {
            log::warning("I/O APIC {} at {:#x} repeats GSIs of the one at {:#x}; ignoring it.", description.id, chip.address,
                         other.address);
            return;
        }
    }
    if (pins_used_ + chip.pins > max_pins) {
        log::warning("I/O APIC {} at {:#x} has more pins than there is room for; ignoring it.", description.id, chip.address);
        return;
    }
    pins_used_ += chip.pins;
    chips_[count_++] = chip;
    if (chip.gsi_base + chip.pins > gsi_end_) gsi_end_ = chip.gsi_base + chip.pins;
    log::info("I/O APIC {} at {:#x}: GSIs {}-{}.", description.id, chip.address, chip.gsi_base, chip.gsi_base + chip.pins - 1);
}

void IoApics::mask_all() {
    IrqGuard guard(lock_);
    for (const Chip& chip : chips()) {
        for (u32 pin = 0; pin < chip.pins; ++pin) {
            // Masked and edge: that also clears a remote IRR which firmware left.
            shadow(chip, pin) = Entry{};
            write(chip, low_register(pin), entry_masked);
        }
    }
}

const IoApics::Chip* IoApics::find(Gsi gsi) const {
    for (const Chip& chip : chips())
        if (gsi.raw - chip.gsi_base < chip.pins) return &chip;
    return nullptr;
}

Result<> IoApics::route(Gsi gsi, u8 vector, u32 apic_id, InterruptMode mode, bool masked) {
    const Chip* chip = find(gsi);
    if (chip == nullptr || apic_id > 0xff) return fail(XEN_EINVAL);
    const u32 pin = gsi.raw - chip->gsi_base;
    const Entry entry = compose_entry(vector, apic_id, mode, masked);
    IrqGuard guard(lock_);
    // Never let a half-written entry deliver: destination first, under mask.
    write(*chip, low_register(pin), entry.low | entry_masked);
    write(*chip, static_cast<u8>(low_register(pin) + 1), entry.high);
    if (!masked) write(*chip, low_register(pin), entry.low);
    shadow(*chip, pin) = entry;
    return {};
}

void IoApics::set_masked(Gsi gsi, bool masked) {
    const Chip* chip = find(gsi);
    if (chip == nullptr) return;
    const u32 pin = gsi.raw - chip->gsi_base;
    IrqGuard guard(lock_);
    Entry& entry = shadow(*chip, pin);
    const u32 low = masked ? entry.low | entry_masked : entry.low & ~entry_masked;
    if (low == entry.low) return;
    entry.low = low;
    write(*chip, low_register(pin), low);
}

Result<u32> IoApics::read_register(u64 base, u32 reg) {
    for (const Chip& chip : chips()) {
        if (chip.address.raw != base) continue;
        if (reg >= low_register(chip.pins)) return fail(XEN_EINVAL);
        IrqGuard guard(lock_);
        return read(chip, static_cast<u8>(reg));
    }
    return fail(XEN_EINVAL);
}

}  // namespace xylem::irqchip
