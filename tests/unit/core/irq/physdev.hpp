// SPDX-License-Identifier: MIT
// Hypercalls and a machine for the tests of interrupts and PCI.
#pragma once

#include "arch/host/irqchip.hpp"
#include "arch/host/pci.hpp"
#include "core/irq/pirq_table.hpp"
#include "tests/unit/core/evtchn/guest.hpp"

namespace xylem::test {

template <class Op>
long physdev(Domain& d, u32 command, Op& op) {
    world->current = d.vcpus[0];
    host::machine.current[0] = d.vcpus[0];
    return irq::physdev_op(*d.vcpus[0], command, reinterpret_cast<u64>(&op));
}

// The pirq, or minus an errno.
inline long map_gsi(Domain& caller, Domain& d, u32 gsi, int pirq = -2) {
    physdev_map_pirq op{};
    op.domid = d.id.raw;
    op.type = MAP_PIRQ_TYPE_GSI;
    op.index = static_cast<int>(gsi);
    op.pirq = pirq == -2 ? static_cast<int>(gsi) : pirq;
    const long rc = physdev(caller, PHYSDEVOP_map_pirq, op);
    return rc == 0 ? op.pirq : rc;
}
inline long unmap(Domain& caller, Domain& d, u32 pirq) {
    physdev_unmap_pirq op{d.id.raw, static_cast<int>(pirq)};
    return physdev(caller, PHYSDEVOP_unmap_pirq, op);
}
inline long end_irq(Domain& d, u32 pirq) {
    physdev_eoi op{pirq};
    return physdev(d, PHYSDEVOP_eoi, op);
}
inline long setup_gsi(Domain& d, int gsi, u8 triggering, u8 polarity) {
    physdev_setup_gsi op{gsi, triggering, polarity};
    return physdev(d, PHYSDEVOP_setup_gsi, op);
}
inline long try_bind_pirq(Domain& d, u32 pirq, bool share, u32* port = nullptr) {
    evtchn_bind_pirq op{pirq, share ? u32{BIND_PIRQ__WILL_SHARE} : 0, 0};
    const long rc = event_op(d, EVTCHNOP_bind_pirq, op);
    if (port != nullptr) *port = op.port;
    return rc;
}
inline u32 bind_pirq(Domain& d, u32 pirq, bool share) {
    u32 port = 0;
    EXPECT_EQ(try_bind_pirq(d, pirq, share, &port), 0);
    return port;
}

struct IrqTest : testing::Test {
    IrqTest() {
        host::irqchip = {};
        host::pci_bus.functions.clear();  // mappings of device memory are for ever
        for (auto& [at, words] : host::pci_bus.memory) std::fill(words.begin(), words.end(), 0u);
        host::pci_bus.ecam_known = true;
        irq::lines().forget_for_tests();
    }
    ~IrqTest() override {
        EXPECT_TRUE(dom0.pirqs->is_consistent() && a.pirqs->is_consistent());
        EXPECT_TRUE(dom0.events->is_consistent() && a.events->is_consistent());
    }
    // The GSI's line is asserted; nothing comes through while it is masked.
    static void interrupt(u32 gsi) {
        const CpuId cpu = host::machine.cpu;
        irq::on_vector(host::irqchip.pins[gsi].vector);
        host::machine.cpu = cpu;
    }
    Machine m;
    Domain& dom0 = m.add_guest(0);
    Domain& a = m.add_guest(1);
};

}  // namespace xylem::test
