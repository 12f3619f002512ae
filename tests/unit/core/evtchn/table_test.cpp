// SPDX-License-Identifier: MIT
// Event channel operations in the 2-level ABI.
#include "tests/unit/core/evtchn/guest.hpp"

namespace xylem::test {
namespace {

struct EvtchnTable : testing::Test {
    Machine m;
    Domain& dom0 = m.add_guest(0);
    Domain& a = m.add_guest(1);
    Domain& b = m.add_guest(2);
    void TearDown() override {
        for (Domain* d : {&dom0, &a, &b}) EXPECT_TRUE(d->events->is_consistent());
    }
    // A channel from a to b, nothing pending.
    std::pair<u32, u32> connect() {
        const u32 there = alloc_unbound(b, a.id);
        const u32 here = bind_interdomain(a, b, there);
        clear_all(a);
        clear_all(b);
        return {here, there};
    }
};

TEST_F(EvtchnTable, PortsStartAtOneAndTheLowestFreeOneIsTaken) {
    EXPECT_EQ(bind_ipi(a, 0), 1u);
    EXPECT_EQ(bind_ipi(a, 0), 2u);
    EXPECT_EQ(bind_ipi(a, 0), 3u);
    EXPECT_EQ(close(a, 2), 0);
    EXPECT_EQ(bind_ipi(a, 1), 2u);
    EXPECT_EQ(bind_ipi(a, 1), 4u);
}

TEST_F(EvtchnTable, BadPortsAreRefused) {
    for (u32 port : {0u, 1u, 127u, 128u, 4096u, 131071u, 131072u, ~0u}) {
        EXPECT_EQ(send(a, port), error(XEN_EINVAL)) << port;
        EXPECT_EQ(close(a, port), error(XEN_EINVAL)) << port;
        EXPECT_EQ(unmask(a, port), error(XEN_EINVAL)) << port;
        EXPECT_EQ(bind_vcpu(a, port, 0), error(XEN_EINVAL)) << port;
    }
    (void)bind_ipi(a, 0);
    EXPECT_EQ(close(a, 0), error(XEN_EINVAL));
    EXPECT_EQ(send(a, 2), error(XEN_EINVAL));
    EXPECT_EQ(close(a, 2), error(XEN_EINVAL));
}

TEST_F(EvtchnTable, BadAddressesAndUnknownOperations) {
    Vcpu& v = *a.vcpus[0];
    for (u64 command = 0; command < 14; ++command)
        EXPECT_EQ(evtchn::event_channel_op(v, command, host::bad_guest_address), error(XEN_EFAULT)) << command;
    EXPECT_EQ(evtchn::event_channel_op(v, 14, host::bad_guest_address), error(XEN_ENOSYS));
    EXPECT_EQ(evtchn::event_channel_op(v, ~u64{0}, host::bad_guest_address), error(XEN_ENOSYS));
    EXPECT_EQ(a.events->ports_in_use(), 0u);
}

TEST_F(EvtchnTable, AllocUnboundForOthersNeedsPrivilege) {
    EXPECT_EQ(alloc_unbound(dom0, dom0.id, a.id), 1u);
    const evtchn_status s = status(a, 1);
    EXPECT_EQ(s.status, u32{EVTCHNSTAT_unbound});
    EXPECT_EQ(s.u.unbound.dom, dom0.id.raw);
    evtchn_alloc_unbound op{b.id.raw, a.id.raw, 0};
    EXPECT_EQ(event_op(a, EVTCHNOP_alloc_unbound, op), error(XEN_EPERM));
    op = {77, a.id.raw, 0};
    EXPECT_EQ(event_op(dom0, EVTCHNOP_alloc_unbound, op), error(XEN_ESRCH));
}

TEST_F(EvtchnTable, LoopbackByDomidSelf) {
    const u32 first = alloc_unbound(dom0, domid_self);
    u32 second = 0;
    ASSERT_EQ(try_bind(dom0, domid_self, first, &second), 0);
    clear_all(dom0);
    EXPECT_EQ(send(dom0, second), 0);
    EXPECT_TRUE(pending(dom0, first));
    EXPECT_FALSE(pending(dom0, second));
}

TEST_F(EvtchnTable, BindInterdomainOnlyToPortsThatWaitForUs) {
    const u32 port = alloc_unbound(b, dom0.id);
    EXPECT_EQ(try_bind(a, b.id, port), error(XEN_EINVAL));
    EXPECT_EQ(try_bind(a, b.id, port + 1), error(XEN_EINVAL));
    EXPECT_EQ(try_bind(a, b.id, 0), error(XEN_EINVAL));
    EXPECT_EQ(try_bind(a, b.id, ~0u), error(XEN_EINVAL));
    EXPECT_EQ(try_bind(a, DomId(55), 1), error(XEN_ESRCH));
    EXPECT_EQ(a.events->ports_in_use(), 0u);
    EXPECT_EQ(try_bind(dom0, b.id, port), 0);
    EXPECT_EQ(try_bind(dom0, b.id, port), error(XEN_EINVAL));
    EXPECT_EQ(dom0.events->ports_in_use(), 1u);
}

TEST_F(EvtchnTable, BindingMakesTheNewPortPendingAndSendReachesThePeer) {
    const u32 there = alloc_unbound(b, a.id);
    EXPECT_EQ(send(b, there), 0);  // nobody there yet
    const u32 here = bind_interdomain(a, b, there);
    EXPECT_TRUE(pending(a, here));
    EXPECT_TRUE(upcall(a));
    clear_all(a);
    EXPECT_EQ(send(a, here), 0);
    EXPECT_TRUE(pending(b, there));
    EXPECT_TRUE(upcall(b));
    EXPECT_EQ(b.vcpus[0]->info->evtchn_pending_sel, u64{1} << there / 64);
    EXPECT_EQ(host::machine.event_checks, 1u);
    EXPECT_TRUE(host::machine.event_check[guests_cpu.raw]);
    EXPECT_EQ(send(a, here), 0);  // still pending: nothing new
    EXPECT_EQ(host::machine.event_checks, 1u);
}

TEST_F(EvtchnTable, ASecondPortDoesNotKickAgainBeforeTheGuestLooked) {
    const auto [h1, t1] = connect();
    const auto [h2, t2] = connect();
    EXPECT_EQ(send(a, h1), 0);
    EXPECT_EQ(send(a, h2), 0);
    EXPECT_TRUE(pending(b, t1) && pending(b, t2));
    EXPECT_EQ(host::machine.event_checks, 1u);
}

TEST_F(EvtchnTable, MaskedPortsBecomePendingSilentlyAndUnmaskTells) {
    const auto [here, there] = connect();
    set_mask(b, there, true);
    EXPECT_EQ(send(a, here), 0);
    EXPECT_TRUE(pending(b, there));
    EXPECT_EQ(evtchn::is_pending(b, Port(there)), true);
    EXPECT_FALSE(upcall(b));
    EXPECT_EQ(unmask(b, there), 0);
    EXPECT_TRUE(upcall(b));
    EXPECT_EQ(host::machine.event_checks, 1u);
    EXPECT_EQ(unmask(b, there), 0);
    EXPECT_EQ(host::machine.event_checks, 1u);
    clear_all(b);
    set_mask(b, there, true);
    EXPECT_EQ(unmask(b, there), 0);  // nothing pending
    EXPECT_FALSE(upcall(b));
}

TEST_F(EvtchnTable, CloseMakesThePeerUnboundForUsAgain) {
    const auto [here, there] = connect();
    EXPECT_EQ(send(b, there), 0);
    EXPECT_TRUE(pending(a, here));
    EXPECT_EQ(close(a, here), 0);
    EXPECT_FALSE(pending(a, here));  // a later user of the port starts clean
    const evtchn_status s = status(b, there);
    EXPECT_EQ(s.status, u32{EVTCHNSTAT_unbound});
    EXPECT_EQ(s.u.unbound.dom, a.id.raw);
    EXPECT_EQ(send(b, there), 0);
    EXPECT_EQ(bind_interdomain(a, b, there), here);
    EXPECT_EQ(close(b, there), 0);  // either end, whichever stands first in memory
    EXPECT_EQ(status(a, here).status, u32{EVTCHNSTAT_unbound});
    EXPECT_EQ(close(a, here), 0);
    EXPECT_EQ(a.events->ports_in_use() + b.events->ports_in_use(), 0u);
}

TEST_F(EvtchnTable, Status) {
    const auto [here, there] = connect();
    evtchn_status s = status(a, here);
    EXPECT_EQ(s.status, u32{EVTCHNSTAT_interdomain});
    EXPECT_EQ(s.u.interdomain.dom, b.id.raw);
    EXPECT_EQ(s.u.interdomain.port, there);
    EXPECT_EQ(status(dom0, there, b.id).status, u32{EVTCHNSTAT_interdomain});
    (void)status(a, there, b.id, error(XEN_EPERM));
    (void)status(dom0, 1, DomId(99), error(XEN_ESRCH));
    (void)status(a, 4000, domid_self, error(XEN_EINVAL));
    EXPECT_EQ(status(a, 0).status, u32{EVTCHNSTAT_closed});
    EXPECT_EQ(status(a, 100).status, u32{EVTCHNSTAT_closed});
    u32 port = 0;
    ASSERT_EQ(try_virq(a, VIRQ_DEBUG, 1, &port), 0);
    s = status(a, port);
    EXPECT_EQ(s.status, u32{EVTCHNSTAT_virq});
    EXPECT_EQ(s.u.virq, u32{VIRQ_DEBUG});
    EXPECT_EQ(s.vcpu, 1u);
    EXPECT_EQ(status(a, bind_ipi(a, 1)).status, u32{EVTCHNSTAT_ipi});
}

TEST_F(EvtchnTable, VirqErrorsAndDelivery) {
    EXPECT_EQ(try_virq(a, NR_VIRQS, 0), error(XEN_EINVAL));
    EXPECT_EQ(try_virq(a, ~0u, 0), error(XEN_EINVAL));
    EXPECT_EQ(try_virq(a, VIRQ_TIMER, 2), error(XEN_ENOENT));
    EXPECT_EQ(try_virq(a, VIRQ_TIMER, ~0u), error(XEN_ENOENT));
    EXPECT_EQ(try_virq(a, VIRQ_CONSOLE, 1), error(XEN_EINVAL));
    u32 timer0 = 0, timer1 = 0, console = 0;
    EXPECT_EQ(try_virq(a, VIRQ_TIMER, 0, &timer0), 0);
    EXPECT_EQ(try_virq(a, VIRQ_TIMER, 0), error(XEN_EEXIST));
    EXPECT_EQ(try_virq(a, VIRQ_TIMER, 1, &timer1), 0);
    EXPECT_EQ(try_virq(a, VIRQ_CONSOLE, 0, &console), 0);
    EXPECT_EQ(try_virq(a, VIRQ_CONSOLE, 0), error(XEN_EEXIST));
    EXPECT_EQ(send(a, timer0), error(XEN_EINVAL));
    evtchn::send_vcpu_virq(*a.vcpus[1], VIRQ_TIMER);
    EXPECT_TRUE(pending(a, timer1) && !pending(a, timer0) && upcall(a, 1) && !upcall(a, 0));
    EXPECT_EQ(bind_vcpu(a, timer0, 1), error(XEN_EINVAL));
    EXPECT_EQ(bind_vcpu(a, console, 1), 0);  // global ones move
    clear_all(a);
    evtchn::notify_global_virq(a, VIRQ_CONSOLE);
    EXPECT_TRUE(pending(a, console) && upcall(a, 1));
    evtchn::notify_global_virq(b, VIRQ_CONSOLE);
    evtchn::send_vcpu_virq(*b.vcpus[0], VIRQ_TIMER);
    EXPECT_FALSE(upcall(b));
    EXPECT_EQ(close(a, console), 0);
    EXPECT_EQ(try_virq(a, VIRQ_CONSOLE, 0), 0);
}

TEST_F(EvtchnTable, IpisReachTheirVcpuAndStay) {
    EXPECT_EQ(try_ipi(a, 2), error(XEN_ENOENT));
    const u32 port = bind_ipi(a, 1);
    EXPECT_EQ(send(a, port), 0);
    EXPECT_TRUE(upcall(a, 1));
    EXPECT_FALSE(upcall(a, 0));
    EXPECT_EQ(bind_vcpu(a, port, 0), error(XEN_EINVAL));
}

TEST_F(EvtchnTable, BindVcpuMovesInterdomainPorts) {
    const auto [here, there] = connect();
    EXPECT_EQ(bind_vcpu(b, there, 2), error(XEN_ENOENT));
    EXPECT_EQ(bind_vcpu(b, there, 1), 0);
    EXPECT_EQ(send(a, here), 0);
    EXPECT_TRUE(upcall(b, 1));
    EXPECT_FALSE(upcall(b, 0));
    EXPECT_EQ(status(b, there).vcpu, 1u);
    EXPECT_EQ(close(b, there), 0);
    EXPECT_EQ(alloc_unbound(b, a.id), there);
    EXPECT_EQ(status(b, there).vcpu, 0u);  // the next user starts at vCPU 0
}

TEST_F(EvtchnTable, TheLimitIsKept) {
    Domain& small = m.add_guest(7, 1, 300);
    for (u32 i = 1; i < 300; ++i) ASSERT_EQ(bind_ipi(small, 0), i);
    EXPECT_EQ(try_ipi(small, 0), error(XEN_ENOSPC));
    EXPECT_EQ(close(small, 299), 0);
    EXPECT_EQ(bind_ipi(small, 0), 299u);
    EXPECT_TRUE(small.events->is_consistent());
}

TEST_F(EvtchnTable, TwoLevelHas4096Ports) {
    for (u32 i = 1; i < 4096; ++i) ASSERT_EQ(bind_ipi(a, 0), i);
    EXPECT_EQ(try_ipi(a, 0), error(XEN_ENOSPC));
    EXPECT_EQ(send(a, 4095), 0);
    EXPECT_TRUE(pending(a, 4095));
    EXPECT_EQ(a.vcpus[0]->info->evtchn_pending_sel, u64{1} << 63);
    EXPECT_EQ(reset(a), 0);
    EXPECT_EQ(a.events->ports_in_use(), 0u);
}

TEST_F(EvtchnTable, ResetNeedsPrivilegeForOthers) {
    const auto [here, there] = connect();
    (void)here;
    EXPECT_EQ(reset(a, b.id), error(XEN_EPERM));
    EXPECT_EQ(reset(dom0, DomId(99)), error(XEN_ESRCH));
    EXPECT_EQ(reset(dom0, b.id), 0);
    EXPECT_EQ(b.events->ports_in_use(), 0u);
    EXPECT_EQ(status(a, here).status, u32{EVTCHNSTAT_unbound});
    EXPECT_EQ(send(a, here), 0);
    EXPECT_FALSE(pending(b, there));
}

// XSA-338: a port once valid stays valid, also after a reset; what was published is not taken back.
TEST_F(EvtchnTable, PortsStayValidAfterReset) {
    for (u32 i = 0; i < 300; ++i) (void)bind_ipi(a, 0);
    EXPECT_EQ(reset(a), 0);
    for (u32 port : {1u, 128u, 299u, 300u}) EXPECT_EQ(status(a, port).status, u32{EVTCHNSTAT_closed});
}

TEST_F(EvtchnTable, ADyingDomainGetsNoNewPorts) {
    const auto [here, there] = connect();
    evtchn::close_all(b);
    evtchn::close_all(b);  // restartable
    EXPECT_EQ(try_ipi(b, 0), error(XEN_EINVAL));
    EXPECT_EQ(try_bind(a, b.id, there), error(XEN_EINVAL));
    EXPECT_EQ(status(a, here).status, u32{EVTCHNSTAT_unbound});
    EXPECT_EQ(send(a, here), 0);
    EXPECT_EQ(b.references.load(), 1u);
}

TEST_F(EvtchnTable, ACurrentInfoThatMovesLosesNothing) {
    const auto [here, there] = connect();
    vcpu_info moved{};
    b.vcpus[0]->info = &moved;
    EXPECT_EQ(send(a, here), 0);
    EXPECT_EQ(moved.evtchn_upcall_pending, 1);
    EXPECT_EQ(moved.evtchn_pending_sel, u64{1} << there / 64);
    b.vcpus[0]->info = &b.shared->vcpu_info[0];
}

TEST_F(EvtchnTable, PollSeesOnlyPortsInUse) {
    const u32 port = bind_ipi(a, 0);
    set_mask(a, port, true);
    EXPECT_EQ(send(a, port), 0);
    EXPECT_EQ(evtchn::is_pending(a, Port(port)), true);
    a.shared->evtchn_pending[1] = ~u64{0};
    EXPECT_NE(evtchn::is_pending(a, Port(64)), true);
    EXPECT_NE(evtchn::is_pending(a, Port(~0u)), true);
    a.shared->evtchn_pending[1] = 0;
}

TEST_F(EvtchnTable, Dump) {
    const auto [here, there] = connect();
    (void)send(b, there);
    set_mask(a, here, true);
    text::FixedText<1000> out;
    evtchn::dump(a, out);
    EXPECT_EQ(out.view(), "d1: 1 event channels, 2-level ABI, at most 131072\n  1 [pm] v0 interdomain d2 port 1\n");
}

}  // namespace
}  // namespace xylem::test
