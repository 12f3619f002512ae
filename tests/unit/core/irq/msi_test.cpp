// SPDX-License-Identifier: MIT
// MSI and MSI-X of devices, and dom0's configuration accesses around them.
#include "core/irq/pirq.hpp"
#include "core/pci/config_filter.hpp"
#include "core/pci/device.hpp"
#include "tests/unit/core/irq/physdev.hpp"

namespace xylem::test {
namespace {

using host::irqchip;
using host::pci_bus;

constexpr u8 devfn = 0x10;
constexpr u8 bus = 3;
constexpr Sbdf device{0, bus, devfn};
constexpr u64 table_bar = 0xf000'0000;

struct Msi : IrqTest {
    host::PciFunction& f = pci_bus.functions[device.raw];

    // A function with MSI (at 0x50) and MSI-X (at 0x70, its table in BAR 2 at offset 0x2000).
    Msi() {
        f.set(0x00, 4, 0x1234'8086);
        f.set(0x04, 2, 2);
        f.set(0x06, 2, 0x10);
        f.set(0x34, 1, 0x50);
        f.set(0x50, 2, 0x7005);
        f.set(0x70, 2, 0x0011);
        set_msi(false, true, 0);
        f.set(0x72, 2, 8 - 1);
        f.set(0x74, 4, 0x2000 | 2);
        f.set(0x78, 4, 0x3000 | 2);
        f.set(0x18, 4, table_bar | 4);
        f.set(0x1c, 4, 0);
    }
    ~Msi() override {
        evtchn::close_all(dom0);
        irq::unmap_all(dom0);
        evtchn::close_all(a);
        irq::unmap_all(a);
        if (pci::find_device(device) != nullptr) EXPECT_TRUE(pci::remove_device(device));
        EXPECT_TRUE(irqchip.vectors.empty());
    }
    void set_msi(bool maskable, bool bits64, u32 log) {
        f.set(0x52, 2, (maskable ? 0x100u : 0) | (bits64 ? 0x80u : 0) | log << 1);
    }
    void add() {
        physdev_pci_device_add op{};
        op.bus = bus;
        op.devfn = devfn;
        EXPECT_EQ(physdev(dom0, PHYSDEVOP_pci_device_add, op), 0);
    }
    long map(int type, int entry, u64 bar = 0, Domain* for_whom = nullptr, int* entries = nullptr) {
        physdev_map_pirq op{};
        op.domid = for_whom != nullptr ? for_whom->id.raw : DOMID_SELF;
        op.type = type;
        op.index = -1;
        op.pirq = -1;
        op.bus = bus;
        op.devfn = devfn;
        op.entry_nr = entry;
        op.table_base = bar;
        const long rc = physdev(dom0, PHYSDEVOP_map_pirq, op);
        if (entries != nullptr) *entries = op.entry_nr;
        return rc == 0 ? op.pirq : rc;
    }
    volatile u32* entry(u32 n) { return pci_bus.memory[table_bar + 0x2000].data() + n * 4; }
    void write(u32 reg, u32 width, u32 value) {
        EXPECT_TRUE(
            pci::guest_config_write(dom0, 0x8000'0000 | u32{bus} << 16 | u32{devfn} << 8 | (reg & 0xfc), reg & 3, width, value));
    }
};

TEST_F(Msi, OneMessage) {
    add();
    const long pirq = map(MAP_PIRQ_TYPE_MSI_SEG, 0);
    ASSERT_EQ(pirq, static_cast<long>(dom0.pirqs->count()) - 1);  // from the top
    EXPECT_EQ(f.get(0x54, 4), 0xfee0'0000u);
    EXPECT_EQ(f.get(0x58, 4), 0u);
    const u32 vector = f.get(0x5c, 2);
    EXPECT_TRUE(irqchip.vectors.contains(static_cast<u8>(vector)));
    EXPECT_EQ(f.get(0x52, 2) & 1, 0u);  // nobody listens yet, and there are no mask bits
    const u32 port = bind_pirq(dom0, static_cast<u32>(pirq), false);
    EXPECT_EQ(f.get(0x52, 2) & 1, 1u);
    irq::on_vector(static_cast<u8>(vector));
    EXPECT_EQ(irqchip.ends, 1u);
    EXPECT_TRUE(pending(dom0, port));
    EXPECT_EQ(end_irq(dom0, static_cast<u32>(pirq)), 0);
    EXPECT_EQ(bind_vcpu(dom0, port, 1), 0);
    EXPECT_EQ(f.get(0x54, 4), 0xfee0'0000u | guests_cpu.raw << 12);
    EXPECT_EQ(map(MAP_PIRQ_TYPE_MSI_SEG, 0), error(XEN_EEXIST));
    EXPECT_EQ(close(dom0, port), 0);
    EXPECT_EQ(f.get(0x52, 2) & 1, 0u);
    EXPECT_EQ(unmap(dom0, dom0, static_cast<u32>(pirq)), 0);
    irq::on_vector(static_cast<u8>(vector));  // too late: logged, ended
    EXPECT_EQ(irqchip.ends, 2u);
}

TEST_F(Msi, NoneWhereTheOptionSaysSo) {
    add();
    irq::allow_messages(false);
    EXPECT_EQ(map(MAP_PIRQ_TYPE_MSI_SEG, 0), error(XEN_EPERM));
    EXPECT_EQ(map(MAP_PIRQ_TYPE_MULTI_MSI, 1), error(XEN_EPERM));
    irq::allow_messages(true);
    EXPECT_GT(map(MAP_PIRQ_TYPE_MSI_SEG, 0), 0);
}

TEST_F(Msi, OldTypeAndShortCapability) {
    set_msi(true, false, 0);
    add();
    const long pirq = map(MAP_PIRQ_TYPE_MSI, 0);
    ASSERT_GT(pirq, 0);
    EXPECT_EQ(f.get(0x52, 2) & 1, 1u);
    EXPECT_EQ(f.get(0x5c, 4), ~0u);  // mask bits without the upper address
    (void)bind_pirq(dom0, static_cast<u32>(pirq), true);
    EXPECT_EQ(f.get(0x5c, 4), ~1u);
}

TEST_F(Msi, ABlockIsOneThing) {
    set_msi(true, true, 3);
    add();
    int entries = 0;
    EXPECT_EQ(map(MAP_PIRQ_TYPE_MULTI_MSI, 16, 0, nullptr, &entries), error(XEN_EINVAL));
    EXPECT_EQ(entries, 8);
    EXPECT_EQ(map(MAP_PIRQ_TYPE_MULTI_MSI, 0), error(XEN_EINVAL));
    EXPECT_EQ(map(MAP_PIRQ_TYPE_MULTI_MSI, 33), error(XEN_EINVAL));
    const long first = map(MAP_PIRQ_TYPE_MULTI_MSI, 4);
    ASSERT_GT(first, 0);
    EXPECT_EQ(f.get(0x52, 2) >> 4 & 7, 2u);
    const u32 vector = f.get(0x5c, 2);
    EXPECT_EQ(vector % 4, 0u);
    const u32 port = bind_pirq(dom0, static_cast<u32>(first) + 2, false);
    EXPECT_EQ(f.get(0x60, 4), ~4u);
    irq::on_vector(static_cast<u8>(vector + 2));
    EXPECT_TRUE(pending(dom0, port));
    EXPECT_EQ(unmap(dom0, dom0, static_cast<u32>(first) + 1), error(XEN_EINVAL));
    EXPECT_EQ(unmap(dom0, dom0, static_cast<u32>(first)), 0);  // bound ones, too
    EXPECT_TRUE(irqchip.vectors.empty());
    EXPECT_EQ(f.get(0x52, 2) & 1, 0u);
}

TEST_F(Msi, MsixEntries) {
    f.set(0x72, 2, 7 | 0xc000);  // dom0 has enabled it, all masked
    add();
    EXPECT_EQ(map(MAP_PIRQ_TYPE_MSI_SEG, 8, table_bar), error(XEN_EINVAL));  // XSA-164: bounded by the table
    EXPECT_EQ(map(MAP_PIRQ_TYPE_MSI_SEG, -1, table_bar), error(XEN_EINVAL));
    EXPECT_FALSE(pci::is_msix_frame(Mfn((table_bar + 0x2000) >> 12)));
    const long p3 = map(MAP_PIRQ_TYPE_MSI_SEG, 3, table_bar);
    const long p0 = map(MAP_PIRQ_TYPE_MSI_SEG, 0, table_bar);
    ASSERT_TRUE(p3 > 0 && p0 > 0);
    EXPECT_EQ(map(MAP_PIRQ_TYPE_MSI_SEG, 3, table_bar), error(XEN_EEXIST));
    EXPECT_EQ(f.get(0x72, 2), 0xc007u & 0xc000u);
    EXPECT_TRUE(pci::is_msix_frame(Mfn((table_bar + 0x2000) >> 12)));
    EXPECT_TRUE(pci::is_msix_frame(Mfn((table_bar + 0x3000) >> 12)));
    EXPECT_FALSE(pci::is_msix_frame(Mfn((table_bar + 0x4000) >> 12)));
    EXPECT_EQ(entry(3)[0], 0xfee0'0000u);
    EXPECT_EQ(entry(3)[3], 1u);
    const u32 port = bind_pirq(dom0, static_cast<u32>(p3), true);
    EXPECT_EQ(entry(3)[3], 0u);
    EXPECT_EQ(entry(0)[3], 1u);
    write(0x72, 2, 0x8000);  // dom0 opens the whole
    EXPECT_EQ(f.get(0x72, 2), 0x8000u);
    write(0x72, 2, 0);  // but may not switch it off
    EXPECT_EQ(f.get(0x72, 2), 0x8000u);
    write(0x70, 4, 0x4000'0000);
    EXPECT_EQ(f.get(0x72, 2), 0xc000u);
    write(0x73, 1, 0x80);
    EXPECT_EQ(f.get(0x72, 2), 0x8000u);
    write(0x72, 1, 0xff);
    EXPECT_EQ(f.get(0x72, 2), 0x8000u);
    irq::on_vector(static_cast<u8>(entry(3)[2]));
    EXPECT_TRUE(pending(dom0, port));
    EXPECT_EQ(unmap(dom0, dom0, static_cast<u32>(p3)), 0);
    EXPECT_EQ(entry(3)[3], 1u);
    EXPECT_EQ(unmap(dom0, dom0, static_cast<u32>(p0)), 0);
    EXPECT_EQ(f.get(0x72, 2) & 0x8000, 0u);
    EXPECT_FALSE(pci::is_msix_frame(Mfn((table_bar + 0x2000) >> 12)));
    write(0x72, 2, 0x8000);  // nobody's now: dom0's
    EXPECT_EQ(f.get(0x72, 2), 0x8000u);
}

// A device that does not decode memory is not asked for its table (advisory row 31: no unsupported requests by us).
TEST_F(Msi, TheTableIsTouchedOnlyWhileMemoryIsDecoded) {
    add();
    f.set(0x04, 2, 0);
    EXPECT_EQ(map(MAP_PIRQ_TYPE_MSI_SEG, 0, table_bar), error(XEN_ENXIO));
    f.set(0x04, 2, 2);
    const long p = map(MAP_PIRQ_TYPE_MSI_SEG, 0, table_bar);
    const u32 port = bind_pirq(dom0, static_cast<u32>(p), true);
    f.set(0x04, 2, 0);
    EXPECT_EQ(close(dom0, port), 0);
    EXPECT_EQ(entry(0)[3], 0u);
    EXPECT_EQ(f.get(0x72, 2), 0xc000u);  // masked as a whole instead
    f.set(0x04, 2, 2);
    (void)bind_pirq(dom0, static_cast<u32>(p), true);
    EXPECT_EQ(entry(0)[3], 0u);
    EXPECT_EQ(f.get(0x72, 2), 0x8000u);
}

TEST_F(Msi, OwnedRegistersAreNotDom0s) {
    add();
    write(0x54, 4, 0x1111'1110);
    EXPECT_EQ(f.get(0x54, 4), 0x1111'1110u);
    const long p = map(MAP_PIRQ_TYPE_MSI_SEG, 0);
    ASSERT_GT(p, 0);
    const u32 data = f.get(0x5c, 2);
    for (u32 reg = 0x52; reg < 0x5e; ++reg) write(reg, 1, 0xa5);
    write(0x50, 4, ~0u);
    write(0x54, 4, 0xdead'beec);
    write(0x5c, 4, 0);
    EXPECT_EQ(f.get(0x54, 4), 0xfee0'0000u);
    EXPECT_EQ(f.get(0x5c, 2), data);
    EXPECT_EQ(f.get(0x52, 2) & 1, 0u);
    write(0x3c, 1, 0x0b);  // everything else is
    EXPECT_EQ(f.get(0x3c, 1), 0x0bu);
    EXPECT_EQ(*pci::guest_config_read(dom0, 0x8003'1000, 2, 2), 0x1234u);
    EXPECT_EQ(*pci::guest_config_read(dom0, 0x0003'1000, 2, 2), 0xffffu);
    EXPECT_EQ(*pci::guest_config_read(dom0, 0x8004'1000, 0, 4), ~0u);
    EXPECT_EQ(pci::guest_config_read(a, 0x8003'1000, 2, 2).error(), XEN_EPERM);
    EXPECT_EQ(pci::guest_config_write(a, 0x8003'1000, 0, 4, 0).error(), XEN_EPERM);
}

TEST_F(Msi, ReadOnlyDevices) {
    constexpr Sbdf ours{0, 9, 0};
    pci_bus.functions[ours.raw].set(0, 4, 0x1022'1022);
    ASSERT_TRUE(pci::set_read_only(ours));
    EXPECT_TRUE(pci::guest_config_write(dom0, 0x8009'0040, 0, 4, 0x55));
    EXPECT_EQ(pci_bus.functions[ours.raw].writes, 0u);
}

// XSA-237: messages are mapped only for the domain that owns the device; XSA-337: what we restore is what we wrote.
TEST_F(Msi, OnlyTheOwnersMessages) {
    add();
    EXPECT_EQ(map(MAP_PIRQ_TYPE_MSI_SEG, 0, 0, &a), error(XEN_ENODEV));
    ASSERT_TRUE(pci::set_owner(device, a.id));
    EXPECT_EQ(map(MAP_PIRQ_TYPE_MSI_SEG, 0), error(XEN_ENODEV));
    const long p = map(MAP_PIRQ_TYPE_MSI_SEG, 0, 0, &a);
    ASSERT_GT(p, 0);
    const u32 port = bind_pirq(a, static_cast<u32>(p), true);
    const u32 vector = f.get(0x5c, 2);
    f.set(0x54, 4, 0xbad0'0000);
    f.set(0x5c, 2, 0xffff);
    f.set(0x52, 2, 0x80);
    physdev_pci_device name{0, bus, devfn};
    EXPECT_EQ(physdev(a, PHYSDEVOP_restore_msi_ext, name), error(XEN_EPERM));
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_restore_msi_ext, name), 0);
    EXPECT_EQ(f.get(0x54, 4), 0xfee0'0000u);
    EXPECT_EQ(f.get(0x5c, 2), vector);
    EXPECT_EQ(f.get(0x52, 2) & 1, 1u);
    irq::on_vector(static_cast<u8>(vector));
    EXPECT_TRUE(pending(a, port));
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_pci_device_remove, name), error(XEN_EBUSY));
    name.devfn = 0;
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_restore_msi_ext, name), error(XEN_ENODEV));
}

TEST_F(Msi, DeviceOperations) {
    physdev_pci_device name{0, bus, devfn};
    physdev_manage_pci old{bus, devfn};
    EXPECT_EQ(map(MAP_PIRQ_TYPE_MSI_SEG, 0), error(XEN_ENODEV));
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_pci_device_remove, name), error(XEN_ENODEV));
    EXPECT_EQ(physdev(a, PHYSDEVOP_manage_pci_add, old), error(XEN_EPERM));
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_manage_pci_add, old), 0);
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_manage_pci_add, old), 0);
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_restore_msi, old), 0);
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_manage_pci_remove, old), 0);
    EXPECT_EQ(pci::find_device(device), nullptr);
    physdev_manage_pci_ext ext{};
    ext.bus = bus;
    ext.devfn = devfn;
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_manage_pci_add_ext, ext), 0);
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_prepare_msix, name), 0);
    EXPECT_TRUE(pci::is_msix_frame(Mfn((table_bar + 0x2000) >> 12)));
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_release_msix, name), 0);
    EXPECT_FALSE(pci::is_msix_frame(Mfn((table_bar + 0x2000) >> 12)));
    (void)map(MAP_PIRQ_TYPE_MSI_SEG, 0, table_bar);
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_prepare_msix, name), error(XEN_EBUSY));
    physdev_pci_mmcfg_reserved ecam{0xb000'0000, 0, 0, 255, 1};
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_pci_mmcfg_reserved, ecam), 0);
    EXPECT_EQ(physdev(a, PHYSDEVOP_pci_mmcfg_reserved, ecam), error(XEN_EPERM));
    ecam.start_bus = 5;
    ecam.end_bus = 4;
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_pci_mmcfg_reserved, ecam), error(XEN_EINVAL));
    physdev_dbgp_op debug{};
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_dbgp_op, debug), error(XEN_ENOSYS));
    EXPECT_EQ(physdev(a, PHYSDEVOP_dbgp_op, debug), error(XEN_EPERM));
}

TEST_F(Msi, ACapabilityListThatRunsInCircles) {
    f.set(0x70, 2, 0x5009);
    f.set(0x50, 2, 0x7009);
    add();
    EXPECT_EQ(map(MAP_PIRQ_TYPE_MSI_SEG, 0), error(XEN_ENODEV));
    EXPECT_EQ(map(MAP_PIRQ_TYPE_MSI_SEG, 0, table_bar), error(XEN_ENODEV));
}

}  // namespace
}  // namespace xylem::test
