// SPDX-License-Identifier: MIT
// Writing devices' MSI and MSI-X registers.
#include <bit>

#include "core/pci/capability.hpp"
#include "core/pci/device.hpp"

namespace xylem::pci {
namespace {

u32 read16(const Device& d, u32 reg) {
    return port::pci_config_read(d.sbdf, reg, 2);
}
void write16(const Device& d, u32 reg, u32 value) {
    port::pci_config_write(d.sbdf, reg, 2, value);
}

bool decodes_memory(const Device& d) {
    return d.is_virtual_function || (read16(d, reg_command) & command_memory) != 0;
}

// The memory behind a BAR, 0 where it is none.
u64 bar_address(const Device& d, u32 index) {
    if (index > 5) return 0;
    const u32 low = port::pci_config_read(d.sbdf, reg_bar0 + index * 4, 4);
    if ((low & bar_io) != 0) return 0;
    u64 address = low & bar_memory_mask;
    if ((low & bar_type_mask) == bar_64 && index < 5)
        address |= u64{port::pci_config_read(d.sbdf, reg_bar0 + index * 4 + 4, 4)} << 32;
    return address;
}

Result<Maddr> locate(const Device& d, u32 capability_register, u64 bar) {
    const u32 where = port::pci_config_read(d.sbdf, d.msix_at + capability_register, 4);
    const u64 base = d.is_virtual_function ? bar : bar_address(d, where & msix::bar_mask);
    if (base == 0) return fail(XEN_ENXIO);
    return Maddr(base + (where & ~msix::bar_mask));
}

// Where the table is now (dom0 may have moved BARs since the last time), and the way there.
Result<> find_table(Device& d, u64 bar) {
    const Maddr table = TRY(locate(d, msix::table, bar));
    const Result<Maddr> pending = locate(d, msix::pending, bar);
    bool mapped = false;
    {
        IrqGuard guard(d.lock);
        d.msix_table = table;
        d.msix_pending = pending && !d.is_virtual_function ? *pending : Maddr(0);
        mapped = d.table != nullptr && d.table_mapped == table;
    }
    if (mapped) return {};
    volatile void* at = port::map_device_memory(table, u64{d.msix_entries} * msix::entry_bytes);
    if (at == nullptr) return fail(XEN_ENOMEM);
    IrqGuard guard(d.lock);
    d.table = static_cast<volatile u32*>(at);
    d.table_mapped = table;
    return {};
}

void write_msix_control(Device& d, bool enable) XYLEM_REQUIRES(d.lock) {
    const u32 mask_all = d.guest_mask_all || d.host_mask_all ? msix::control_mask_all : 0;
    write16(d, d.msix_at + msix::control, (enable ? msix::control_enable : 0) | mask_all);
}

void write_words(Device& d, const MsiEntry& e) XYLEM_REQUIRES(d.lock) {
    volatile u32* words = d.table + u32{e.index} * msix::entry_words;
    words[3] = msix::entry_masked;  // the message changes only while it cannot be sent
    words[0] = static_cast<u32>(e.message.address);
    words[1] = static_cast<u32>(e.message.address >> 32);
    words[2] = e.message.data;
    words[3] = e.masked ? msix::entry_masked : 0;
    (void)words[3];  // arrived
}

// A device that does not decode memory must not be asked for its table: it would answer with an error that may stop the
// machine. Its interrupts are masked as a whole then, until the table can be reached and is brought up to date.
bool reach_table(Device& d) XYLEM_REQUIRES(d.lock) {
    const bool reachable = decodes_memory(d);
    if (reachable != d.host_mask_all) return reachable;
    d.host_mask_all = !reachable;
    if (reachable)
        for (const MsiEntry* e = d.entries; e != nullptr; e = e->next) write_words(d, *e);
    write_msix_control(d, true);
    return reachable;
}

void write_entry(Device& d, const MsiEntry& e) XYLEM_REQUIRES(d.lock) {
    if (reach_table(d)) write_words(d, e);
}

void write_msi_mask(Device& d) XYLEM_REQUIRES(d.lock) {
    const u32 at = d.msi_at;
    if (d.msi_maskable) {
        port::pci_config_write(d.sbdf, at + msi::mask(d.msi_has_64_bits), 4, d.msi_mask);
        return;
    }
    // Without mask bits the switch is for all: on while anybody listens.
    const u32 control = read16(d, at + msi::control) & ~msi::control_enable;
    write16(d, at + msi::control, control | (d.msi_mask != ~u32{0} ? msi::control_enable : 0));
}

void write_msi(Device& d, const MsiEntry& e) XYLEM_REQUIRES(d.lock) {
    const u32 at = d.msi_at;
    u32 control = read16(d, at + msi::control) & ~(msi::control_enable | msi::control_enabled_mask);
    control |= static_cast<u32>(std::countr_zero(u32{e.count})) << msi::control_enabled_shift;
    write16(d, at + msi::control, control);
    port::pci_config_write(d.sbdf, at + msi::address, 4, static_cast<u32>(e.message.address));
    if (d.msi_has_64_bits) port::pci_config_write(d.sbdf, at + msi::address_high, 4, static_cast<u32>(e.message.address >> 32));
    write16(d, at + msi::data(d.msi_has_64_bits), e.message.data);
    write_msi_mask(d);
    if (d.msi_maskable) write16(d, at + msi::control, control | msi::control_enable);
}

void append(Device& d, MsiEntry& e) XYLEM_REQUIRES(d.lock) {
    e.device = &d;
    e.masked = true;
    e.next = d.entries;
    d.entries = &e;
}

}  // namespace

Result<> claim_msi(Device& d, MsiEntry& e, u32 index, u32 count) {
    if (d.msi_at == 0) return fail(XEN_ENODEV);
    if (!std::has_single_bit(count) || count > 1u << d.msi_log_vectors || index >= count) return fail(XEN_EINVAL);
    IrqGuard guard(d.lock);
    if (!d.present.load(std::memory_order_relaxed)) return fail(XEN_ENODEV);
    // Either the first of a new block, or one more of the block.
    if (index == 0 ? d.entries != nullptr : d.entries == nullptr) return fail(XEN_EEXIST);
    for (const MsiEntry* other = d.entries; other != nullptr; other = other->next)
        if (other->is_msix || other->index == index || other->count != count) return fail(XEN_EEXIST);
    e.is_msix = false;
    e.index = static_cast<u16>(index);
    e.count = static_cast<u16>(count);
    d.msi_mask = ~u32{0};
    append(d, e);
    return {};
}

Result<> claim_msix(Device& d, MsiEntry& e, u32 index, u64 bar) {
    if (d.msix_at == 0) return fail(XEN_ENODEV);
    if (index >= d.msix_entries) return fail(XEN_EINVAL);
    if (!decodes_memory(d)) return fail(XEN_ENXIO);
    TRY(find_table(d, bar));
    IrqGuard guard(d.lock);
    if (!d.present.load(std::memory_order_relaxed)) return fail(XEN_ENODEV);
    for (const MsiEntry* other = d.entries; other != nullptr; other = other->next)
        if (!other->is_msix || other->index == index) return fail(XEN_EEXIST);
    if (d.entries == nullptr) {
        d.guest_mask_all = (read16(d, d.msix_at + msix::control) & msix::control_mask_all) != 0;
        d.host_mask_all = false;
    }
    e.is_msix = true;
    e.index = static_cast<u16>(index);
    e.count = 1;
    append(d, e);
    return {};
}

void program(MsiEntry& e, const port::MsiMessage& message) {
    Device& d = *e.device;
    IrqGuard guard(d.lock);
    e.message = message;
    if (e.is_msix) {
        write_entry(d, e);
        write_msix_control(d, true);
    } else if (e.index == 0) {
        write_msi(d, e);
    }
}

void set_masked(MsiEntry& e, bool masked) {
    Device& d = *e.device;
    IrqGuard guard(d.lock);
    if (e.masked == masked) return;
    e.masked = masked;
    if (e.is_msix) {
        if (!reach_table(d)) return;
        volatile u32* control = d.table + u32{e.index} * msix::entry_words + 3;
        *control = masked ? msix::entry_masked : 0;
        (void)*control;
        return;
    }
    const u32 bit = 1u << e.index;
    d.msi_mask = masked ? d.msi_mask | bit : d.msi_mask & ~bit;
    write_msi_mask(d);
}

void release(MsiEntry& e) {
    if (e.device == nullptr) return;
    set_masked(e, true);
    Device& d = *e.device;
    IrqGuard guard(d.lock);
    for (MsiEntry** link = &d.entries; *link != nullptr; link = &(*link)->next) {
        if (*link != &e) continue;
        *link = e.next;
        break;
    }
    if (d.entries == nullptr) {
        if (e.is_msix)
            write_msix_control(d, false);
        else
            write16(d, d.msi_at + msi::control, read16(d, d.msi_at + msi::control) & ~msi::control_enable);
    }
    e = MsiEntry{};
}

Result<> restore_msi(Sbdf sbdf) {
    Device* d = find_device(sbdf);
    if (d == nullptr) return fail(XEN_ENODEV);
    IrqGuard guard(d->lock);
    for (const MsiEntry* e = d->entries; e != nullptr; e = e->next) {
        if (e->is_msix) {
            write_entry(*d, *e);
            write_msix_control(*d, true);
        } else if (e->index == 0) {
            write_msi(*d, *e);
        }
    }
    return {};
}

Result<> prepare_msix(Sbdf sbdf, bool prepare) {
    Device* d = find_device(sbdf);
    if (d == nullptr || d->msix_at == 0) return fail(XEN_ENODEV);
    if (prepare && !d->is_virtual_function) TRY(find_table(*d, 0));
    IrqGuard guard(d->lock);
    if (d->entries != nullptr) return fail(XEN_EBUSY);
    d->msix_prepared = prepare;
    return {};
}

}  // namespace xylem::pci
