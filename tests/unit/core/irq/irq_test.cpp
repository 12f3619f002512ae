// SPDX-License-Identifier: MIT
// Pirqs and interrupt lines.
#include "arch/host/irqchip.hpp"
#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"
#include "core/irq/pirq_table.hpp"
#include "tests/unit/core/evtchn/guest.hpp"
#include "tests/unit/core/irq/physdev.hpp"

namespace xylem::test {
namespace {

using host::irqchip;

struct Irq : IrqTest {
    // A GSI mapped and bound the way dom0 does it.
    u32 bind_gsi(Domain& d, u32 gsi, bool share = true) {
        EXPECT_EQ(map_gsi(d, d, gsi), static_cast<int>(gsi));
        return bind_pirq(d, gsi, share);
    }
};

TEST_F(Irq, LegacyLinesAreTheirOwnPirqs) {
    for (u32 gsi = 1; gsi < 16; ++gsi) {
        EXPECT_EQ(map_gsi(dom0, dom0, gsi), static_cast<int>(gsi));
        physdev_irq irq{gsi, 0};
        EXPECT_EQ(physdev(dom0, PHYSDEVOP_alloc_irq_vector, irq), 0);
        EXPECT_EQ(irq.vector, gsi);
        physdev_irq_status_query query{gsi, 0};
        EXPECT_EQ(physdev(dom0, PHYSDEVOP_irq_status_query, query), 0);
        EXPECT_EQ(query.flags, u32{XENIRQSTAT_needs_eoi});
    }
    EXPECT_TRUE(irqchip.vectors.empty());  // only lines that somebody listens to cost one
    EXPECT_EQ(map_gsi(dom0, dom0, 5, -1), 5);
    EXPECT_EQ(map_gsi(dom0, dom0, 5), 5);  // once more is no error
    EXPECT_EQ(map_gsi(dom0, dom0, 5, 6), error(XEN_EEXIST));
    EXPECT_EQ(map_gsi(dom0, dom0, 20, 6), error(XEN_EEXIST));
    EXPECT_EQ(map_gsi(dom0, dom0, 24), error(XEN_EINVAL));
    EXPECT_EQ(map_gsi(dom0, dom0, ~0u), error(XEN_EINVAL));
    EXPECT_EQ(map_gsi(dom0, dom0, 20, 10000), error(XEN_EINVAL));
}

TEST_F(Irq, NumbersOutOfRange) {
    const u32 end = dom0.pirqs->count();
    physdev_irq_status_query query{end, 0};
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_irq_status_query, query), error(XEN_EINVAL));
    physdev_irq irq{end, 0};
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_alloc_irq_vector, irq), error(XEN_EINVAL));
    EXPECT_EQ(end_irq(dom0, end), error(XEN_EINVAL));
    EXPECT_EQ(end_irq(dom0, 5), error(XEN_EINVAL));  // not mapped
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_free_irq_vector, irq), error(XEN_ENOSYS));
    EXPECT_EQ(unmap(dom0, dom0, 5), error(XEN_EINVAL));
    EXPECT_EQ(unmap(dom0, dom0, ~0u), error(XEN_EINVAL));
    u32 port = 0;
    EXPECT_EQ(try_bind_pirq(dom0, 5, true, &port), error(XEN_EPERM));
    EXPECT_EQ(try_bind_pirq(dom0, ~0u, true, &port), error(XEN_EINVAL));
    EXPECT_EQ(dom0.events->ports_in_use(), 0u);
    for (u64 command = 5; command < 32; ++command) {
        if (command == 11 || command == 18 || command == 22 || command == 26 + 3) continue;
        EXPECT_EQ(irq::physdev_op(*dom0.vcpus[0], command, host::bad_guest_address), error(XEN_EFAULT)) << command;
    }
    EXPECT_EQ(irq::physdev_op(*dom0.vcpus[0], 99, 0), error(XEN_ENOSYS));
}

TEST_F(Irq, SetupGsi) {
    EXPECT_EQ(setup_gsi(dom0, 16, 1, 1), 0);
    EXPECT_EQ(setup_gsi(dom0, 16, 0, 0), error(XEN_EEXIST));
    EXPECT_EQ(setup_gsi(dom0, 24, 1, 1), error(XEN_EINVAL));
    EXPECT_EQ(setup_gsi(dom0, -1, 1, 1), error(XEN_EINVAL));
    EXPECT_EQ(setup_gsi(a, 17, 1, 1), error(XEN_EPERM));
    EXPECT_EQ(setup_gsi(dom0, 9, 1, 0), 0);
    (void)bind_gsi(dom0, 9);
    EXPECT_EQ(irqchip.pins[9].mode, (InterruptMode{Trigger::level, Polarity::high}));
    irqchip.firmware[10] = pci_mode;
    (void)bind_gsi(dom0, 10);
    EXPECT_EQ(irqchip.pins[10].mode, pci_mode);
    EXPECT_EQ(setup_gsi(dom0, 10, 0, 0), error(XEN_EEXIST));  // in use
}

TEST_F(Irq, EdgeLinesAreEndedAtOnceAndStayOpen) {
    const u32 port = bind_gsi(dom0, 1);
    EXPECT_FALSE(irqchip.pins[1].masked);
    interrupt(1);
    EXPECT_EQ(irqchip.ends, 1u);
    EXPECT_FALSE(irqchip.pins[1].masked);
    EXPECT_TRUE(pending(dom0, port));
    EXPECT_EQ(end_irq(dom0, 1), 0);
    EXPECT_EQ(close(dom0, port), 0);
    EXPECT_TRUE(irqchip.pins[1].masked);
}

TEST_F(Irq, LevelLinesAreMaskedUntilTheGuestEnds) {
    const u32 port = bind_gsi(dom0, 16);
    for (int i = 0; i < 3; ++i) {
        clear_all(dom0);
        interrupt(16);
        EXPECT_TRUE(irqchip.pins[16].masked);
        EXPECT_TRUE(pending(dom0, port));
        EXPECT_EQ(end_irq(dom0, 16), 0);
        EXPECT_FALSE(irqchip.pins[16].masked);
        EXPECT_EQ(end_irq(dom0, 16), 0);  // once too often does nothing
        EXPECT_FALSE(irqchip.pins[16].masked);
    }
    EXPECT_EQ(irqchip.ends, 3u);
}

TEST_F(Irq, AllSharersHaveToEnd) {
    ASSERT_TRUE(irq::set_irq_permission(a, Gsi(16), true));
    const u32 port = bind_gsi(dom0, 16);
    EXPECT_EQ(map_gsi(dom0, a, 16), 16);
    const u32 theirs = bind_pirq(a, 16, true);
    physdev_irq_status_query query{16, 0};
    EXPECT_EQ(physdev(a, PHYSDEVOP_irq_status_query, query), 0);
    EXPECT_EQ(query.flags, u32{XENIRQSTAT_needs_eoi | XENIRQSTAT_shared});
    interrupt(16);
    EXPECT_TRUE(pending(dom0, port) && pending(a, theirs));
    EXPECT_EQ(end_irq(dom0, 16), 0);
    EXPECT_EQ(end_irq(dom0, 16), 0);  // does not count for the other
    EXPECT_TRUE(irqchip.pins[16].masked);
    EXPECT_EQ(end_irq(a, 16), 0);
    EXPECT_FALSE(irqchip.pins[16].masked);
    interrupt(16);
    EXPECT_EQ(end_irq(dom0, 16), 0);
    EXPECT_EQ(close(a, theirs), 0);  // a sharer that goes away has ended
    EXPECT_FALSE(irqchip.pins[16].masked);
    EXPECT_EQ(close(dom0, port), 0);
    EXPECT_TRUE(irqchip.pins[16].masked);
}

TEST_F(Irq, WhoDoesNotShareIsAlone) {
    ASSERT_TRUE(irq::set_irq_permission(a, Gsi(16), true));
    EXPECT_EQ(map_gsi(dom0, dom0, 16), 16);
    EXPECT_EQ(map_gsi(dom0, a, 16), 16);
    const u32 port = bind_pirq(dom0, 16, false);
    EXPECT_EQ(try_bind_pirq(a, 16, true), error(XEN_EBUSY));
    EXPECT_EQ(try_bind_pirq(dom0, 16, true), error(XEN_EEXIST));
    EXPECT_EQ(a.events->ports_in_use(), 0u);
    EXPECT_EQ(close(dom0, port), 0);
    (void)bind_pirq(a, 16, true);
    EXPECT_EQ(try_bind_pirq(dom0, 16, false), error(XEN_EBUSY));
}

TEST_F(Irq, TheHypervisorsOwnLineIsNobodyElses) {
    static unsigned served;
    served = 0;
    for (const u32 gsi : {4u, 16u}) {
        irq::Line* line = *irq::lines().of_gsi(Gsi(gsi));
        ASSERT_TRUE(line->serve([] { ++served; }));
        EXPECT_FALSE(line->serve([] {}));
        EXPECT_EQ(map_gsi(dom0, dom0, gsi), static_cast<long>(gsi));
        EXPECT_EQ(try_bind_pirq(dom0, gsi, true), error(XEN_EBUSY));
        EXPECT_EQ(setup_gsi(dom0, static_cast<int>(gsi), 0, 0), error(XEN_EEXIST));
        interrupt(gsi);
        EXPECT_FALSE(irqchip.pins[gsi].masked);
    }
    EXPECT_EQ(served, 2u);
    EXPECT_EQ(irqchip.ends, 2u);
    const u32 port = bind_gsi(dom0, 17);
    irq::Line* taken = *irq::lines().of_gsi(Gsi(17));
    EXPECT_FALSE(taken->serve([] {}));
    EXPECT_EQ(close(dom0, port), 0);
}

TEST_F(Irq, PrivilegeAndPermission) {
    EXPECT_EQ(map_gsi(a, a, 16), error(XEN_EPERM));
    EXPECT_EQ(map_gsi(a, dom0, 16), error(XEN_EPERM));
    EXPECT_FALSE(irq::has_irq_permission(a, Gsi(16)));
    EXPECT_EQ(map_gsi(dom0, a, 16), 16);
    EXPECT_TRUE(irq::has_irq_permission(a, Gsi(16)));  // dom0 gave it
    EXPECT_EQ(unmap(a, a, 16), error(XEN_EPERM));
    ASSERT_TRUE(irq::set_irq_permission(a, Gsi(16), false));
    EXPECT_FALSE(irq::has_irq_permission(a, Gsi(16)));
    EXPECT_FALSE(irq::set_irq_permission(a, Gsi(5000), true));
    physdev_map_pirq op{};
    op.domid = 99;
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_map_pirq, op), error(XEN_ESRCH));
    op.domid = DOMID_SELF;
    op.type = MAP_PIRQ_TYPE_UNKNOWN;
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_map_pirq, op), error(XEN_EINVAL));
}

TEST_F(Irq, UnmapOfABoundPirqSilencesIt) {
    const u32 port = bind_gsi(dom0, 16);
    interrupt(16);
    EXPECT_EQ(unmap(dom0, dom0, 16), 0);
    EXPECT_EQ(unmap(dom0, dom0, 16), error(XEN_EINVAL));
    EXPECT_TRUE(irqchip.pins[16].masked);
    clear_all(dom0);
    interrupt(16);  // one that was on its way
    EXPECT_FALSE(pending(dom0, port));
    EXPECT_EQ(end_irq(dom0, 16), error(XEN_EINVAL));
    // The dead port does not take the next binding away when it is closed.
    EXPECT_EQ(map_gsi(dom0, dom0, 16), 16);
    const u32 next = bind_pirq(dom0, 16, true);
    EXPECT_EQ(close(dom0, port), 0);
    interrupt(16);
    EXPECT_TRUE(pending(dom0, next));
}

TEST_F(Irq, AnUnboundLineIsMasked) {
    const u32 port = bind_gsi(dom0, 16);
    EXPECT_EQ(close(dom0, port), 0);
    irqchip.pins[16].masked = false;
    interrupt(16);
    EXPECT_TRUE(irqchip.pins[16].masked);
    irq::on_vector(0xee);  // nobody's
    EXPECT_EQ(irqchip.ends, 2u);
}

TEST_F(Irq, NoVectorLeft) {
    EXPECT_EQ(map_gsi(dom0, dom0, 17), 17);
    irqchip.no_vectors = true;
    EXPECT_EQ(try_bind_pirq(dom0, 17, true), error(XEN_ENOSPC));
    irqchip.no_vectors = false;
    EXPECT_EQ(dom0.events->ports_in_use(), 0u);
    (void)bind_pirq(dom0, 17, true);
}

TEST_F(Irq, TheEndMapSaysWhichPirqsNeedAnEnd) {
    const u32 level = bind_gsi(dom0, 16);
    (void)bind_gsi(dom0, 1);
    const Mfn page = m.page(dom0);
    std::memset(m.bytes(page), 0xff, page_size);
    physdev_pirq_eoi_gmfn op{m.page(a).raw};
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_pirq_eoi_gmfn_v2, op), error(XEN_EINVAL));
    op.gmfn = page.raw;
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_pirq_eoi_gmfn_v2, op), 0);
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_pirq_eoi_gmfn_v2, op), error(XEN_EBUSY));
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_pirq_eoi_gmfn_v1, op), error(XEN_EBUSY));
    const u64* map = reinterpret_cast<u64*>(m.bytes(page));
    EXPECT_EQ(map[0] & ((u64{1} << dom0.pirqs->count()) - 1), u64{1} << 16);
    (void)bind_gsi(dom0, 18);
    EXPECT_EQ(map[0] & ((u64{1} << dom0.pirqs->count()) - 1), u64{1} << 16 | u64{1} << 18);
    EXPECT_EQ(close(dom0, level), 0);
    EXPECT_EQ(map[0] & ((u64{1} << dom0.pirqs->count()) - 1), u64{1} << 18);
    EXPECT_EQ(state_of(page).type_uses(), 1u);
    evtchn::close_all(dom0);
    irq::unmap_all(dom0);
    EXPECT_EQ(state_of(page).type_uses(), 0u);
}

TEST_F(Irq, TheOldEndMapAlsoUnmasks) {
    const u32 port = bind_gsi(dom0, 16);
    physdev_pirq_eoi_gmfn op{m.page(dom0).raw};
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_pirq_eoi_gmfn_v1, op), 0);
    set_mask(dom0, port, true);
    interrupt(16);
    EXPECT_FALSE(upcall(dom0));
    EXPECT_EQ(end_irq(dom0, 16), 0);
    EXPECT_TRUE(upcall(dom0));
}

TEST_F(Irq, GetFreePirq) {
    physdev_get_free_pirq op{MAP_PIRQ_TYPE_MSI, 0};
    EXPECT_EQ(physdev(a, PHYSDEVOP_get_free_pirq, op), 0);
    EXPECT_EQ(op.pirq, a.pirqs->count() - 1);
    EXPECT_EQ(physdev(a, PHYSDEVOP_get_free_pirq, op), 0);
    EXPECT_EQ(op.pirq, a.pirqs->count() - 2);
    op.type = MAP_PIRQ_TYPE_GSI;
    EXPECT_EQ(physdev(a, PHYSDEVOP_get_free_pirq, op), 0);
    EXPECT_EQ(op.pirq, 16u);
    op.type = 7;
    EXPECT_EQ(physdev(a, PHYSDEVOP_get_free_pirq, op), error(XEN_EINVAL));
    op.type = MAP_PIRQ_TYPE_MSI;
    long rc = 0;
    for (u32 i = 0; i < 40 && rc == 0; ++i) rc = physdev(a, PHYSDEVOP_get_free_pirq, op);
    EXPECT_EQ(rc, error(XEN_ENOSPC));
}

TEST_F(Irq, BindVcpuTakesTheInterruptToItsCpu) {
    const u32 port = bind_gsi(dom0, 16);
    EXPECT_EQ(irqchip.pins[16].cpu, CpuId(0));
    EXPECT_EQ(bind_vcpu(dom0, port, 1), 0);
    EXPECT_EQ(irqchip.pins[16].cpu, guests_cpu);
    interrupt(16);
    dom0.vcpus[0]->sched.cpu = CpuId(2);
    EXPECT_EQ(bind_vcpu(dom0, port, 0), 0);
    EXPECT_EQ(irqchip.pins[16].cpu, CpuId(2));
    EXPECT_TRUE(irqchip.pins[16].masked);  // in flight
    dom0.vcpus[0]->sched.cpu = guests_cpu;
}

TEST_F(Irq, ApicAndRegisters) {
    physdev_apic apic{0xfec0'0000, 1, 0};
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_apic_read, apic), 0);
    EXPECT_EQ(apic.value >> 16, 23u);
    EXPECT_EQ(physdev(a, PHYSDEVOP_apic_read, apic), error(XEN_EPERM));
    EXPECT_EQ(physdev(a, PHYSDEVOP_apic_write, apic), error(XEN_EPERM));
    apic.apic_physbase = 0;
    EXPECT_EQ(physdev(dom0, PHYSDEVOP_apic_read, apic), error(XEN_EINVAL));
    ArchVcpu arch;
    ArchDomain arch_domain;
    a.vcpus[0]->arch = &arch;
    a.arch = &arch_domain;
    physdev_set_iopl iopl{3};
    EXPECT_EQ(physdev(a, PHYSDEVOP_set_iopl, iopl), 0);
    EXPECT_EQ(arch.virtual_iopl, 3u);
    iopl.iopl = 4;
    EXPECT_EQ(physdev(a, PHYSDEVOP_set_iopl, iopl), error(XEN_EINVAL));
    physdev_set_iobitmap bitmap{};
    bitmap.nr_ports = 65536;
    EXPECT_EQ(physdev(a, PHYSDEVOP_set_iobitmap, bitmap), 0);
    EXPECT_EQ(arch.iobitmap_ports, 65536u);
    bitmap.nr_ports = 65537;
    EXPECT_EQ(physdev(a, PHYSDEVOP_set_iobitmap, bitmap), error(XEN_EINVAL));
    a.vcpus[0]->arch = nullptr;
    a.arch = nullptr;
}

// XSA-237/337/360: pirqs are unmapped exactly once at a domain's death.
TEST_F(Irq, DeathUnmapsEverythingOnce) {
    (void)bind_gsi(dom0, 16);
    interrupt(16);
    evtchn::close_all(dom0);
    irq::unmap_all(dom0);
    irq::unmap_all(dom0);
    EXPECT_TRUE(irqchip.pins[16].masked);
    EXPECT_EQ(map_gsi(dom0, dom0, 17), error(XEN_EINVAL));
}

}  // namespace
}  // namespace xylem::test
