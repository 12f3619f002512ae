// SPDX-License-Identifier: MIT
// The FIFO ABI: linking, priorities, masking races, migration.
#include "tests/unit/core/evtchn/guest.hpp"

namespace xylem::test {
namespace {

using Ports = std::vector<u32>;

struct EvtchnFifo : testing::Test {
    Machine m;
    Domain& dom0 = m.add_guest(0);
    Domain& a = m.add_guest(1);
    Domain& b = m.add_guest(2);
    void TearDown() override {
        for (Domain* d : {&dom0, &a, &b}) EXPECT_TRUE(d->events->is_consistent());
    }
    static void set(FifoGuest& g, u32 port, u32 bit, bool on) {
        g.word(port) = on ? g.word(port) | 1u << bit : g.word(port) & ~(1u << bit);
    }
};

TEST_F(EvtchnFifo, InitControlErrors) {
    const Mfn page = m.page(a);
    std::memset(m.bytes(page), 0, page_size);
    EXPECT_EQ(init_control(a, 2, page, 0), error(XEN_ENOENT));
    EXPECT_EQ(init_control(a, ~0u, page, 0), error(XEN_ENOENT));
    EXPECT_EQ(init_control(a, 0, page, 4), error(XEN_EINVAL));
    EXPECT_EQ(init_control(a, 0, page, page_size - 64), error(XEN_EINVAL));
    EXPECT_EQ(init_control(a, 0, page, ~7u), error(XEN_EINVAL));
    EXPECT_EQ(init_control(a, 0, m.page(b), 0), error(XEN_EINVAL));
    EXPECT_EQ(init_control(a, 0, Mfn(~u64{0} >> 12), 0), error(XEN_EINVAL));
    EXPECT_FALSE(a.events->uses_fifo());  // a failure leaves the ABI as it was
    EXPECT_EQ(expand_array(a, page), error(XEN_EOPNOTSUPP));
    EXPECT_EQ(set_priority(a, bind_ipi(a, 0), 3), error(XEN_ENOSYS));
    u8 bits = 0;
    EXPECT_EQ(init_control(a, 0, page, 0, &bits), 0);
    EXPECT_EQ(bits, 17);
    EXPECT_TRUE(a.events->uses_fifo());
    EXPECT_EQ(init_control(a, 0, page, 128), error(XEN_EINVAL));
    EXPECT_EQ(init_control(a, 1, page, 128), 0);
    EXPECT_EQ(expand_array(a, m.page(b)), error(XEN_EINVAL));
}

TEST_F(EvtchnFifo, EventsArriveInOrderAndKickOnce) {
    FifoGuest g(m, a);
    const u32 p1 = bind_ipi(a, 0), p2 = bind_ipi(a, 0), p3 = bind_ipi(a, 0);
    for (u32 p : {p2, p1, p3, p2}) EXPECT_EQ(send(a, p), 0);
    EXPECT_EQ(host::machine.event_checks, 1u);
    EXPECT_EQ(g.consume(0), (Ports{p2, p1, p3}));
    EXPECT_EQ(g.consume(0), Ports{});
    EXPECT_EQ(send(a, p3), 0);
    EXPECT_EQ(send(a, p3), 0);
    EXPECT_EQ(host::machine.event_checks, 2u);
    EXPECT_EQ(g.consume(0), Ports{p3});
    EXPECT_EQ(send(a, p3), 0);  // the tail again, alone
    EXPECT_EQ(g.consume(0), Ports{p3});
}

TEST_F(EvtchnFifo, PrioritiesAndVcpusHaveTheirOwnQueues) {
    FifoGuest g(m, a);
    const u32 low = bind_ipi(a, 0), high = bind_ipi(a, 0), other = bind_ipi(a, 1);
    EXPECT_EQ(set_priority(a, high, 0), 0);
    EXPECT_EQ(set_priority(a, low, 15), 0);
    EXPECT_EQ(set_priority(a, low, 16), error(XEN_EINVAL));
    EXPECT_EQ(set_priority(a, 999, 1), error(XEN_EINVAL));
    for (u32 p : {low, high, other}) EXPECT_EQ(send(a, p), 0);
    EXPECT_EQ(g.control[0]->ready, 1u << 0 | 1u << 15);
    EXPECT_EQ(g.consume(0), (Ports{high, low}));
    EXPECT_EQ(g.consume(1), Ports{other});
}

TEST_F(EvtchnFifo, MaskedEventsAreNotLinkedUntilUnmasked) {
    FifoGuest g(m, a);
    const u32 p = bind_ipi(a, 0);
    set(g, p, EVTCHN_FIFO_MASKED, true);
    EXPECT_EQ(send(a, p), 0);
    EXPECT_TRUE(g.is(p, EVTCHN_FIFO_PENDING));
    EXPECT_FALSE(g.is(p, EVTCHN_FIFO_LINKED));
    EXPECT_FALSE(upcall(a));
    EXPECT_EQ(evtchn::is_pending(a, Port(p)), true);
    EXPECT_EQ(unmask(a, p), 0);
    EXPECT_TRUE(upcall(a));
    EXPECT_EQ(g.consume(0), Ports{p});
}

TEST_F(EvtchnFifo, MaskedWhileLinkedIsTakenOffAndComesBackOnUnmask) {
    FifoGuest g(m, a);
    const u32 p = bind_ipi(a, 0), q = bind_ipi(a, 0);
    EXPECT_EQ(send(a, p), 0);
    EXPECT_EQ(send(a, q), 0);
    set(g, p, EVTCHN_FIFO_MASKED, true);
    EXPECT_EQ(g.consume(0), Ports{q});  // p left the queue, still pending
    EXPECT_TRUE(g.is(p, EVTCHN_FIFO_PENDING));
    EXPECT_EQ(unmask(a, p), 0);
    EXPECT_EQ(g.consume(0), Ports{p});
}

// The guest takes off the tail between two sends: the queue is empty and starts at the new event.
TEST_F(EvtchnFifo, ATailThatTheGuestUnlinkedStartsANewQueue) {
    FifoGuest g(m, a);
    const u32 p = bind_ipi(a, 0), q = bind_ipi(a, 0);
    EXPECT_EQ(send(a, p), 0);
    EXPECT_EQ(g.consume(0), Ports{p});
    EXPECT_EQ(send(a, q), 0);
    EXPECT_EQ(g.control[0]->head[7], q);
    EXPECT_EQ(g.consume(0), Ports{q});
}

// p ends queue 7, is consumed, and goes to queue 3: what comes to queue 7 must not be linked behind p there.
TEST_F(EvtchnFifo, AMovedTailDoesNotTakeItsFormerQueueAlong) {
    FifoGuest g(m, a);
    const u32 p = bind_ipi(a, 0), q = bind_ipi(a, 0);
    EXPECT_EQ(send(a, p), 0);
    EXPECT_EQ(g.consume(0), Ports{p});
    EXPECT_EQ(set_priority(a, p, 3), 0);
    EXPECT_EQ(send(a, p), 0);
    EXPECT_EQ(send(a, q), 0);
    EXPECT_EQ(g.word(p) & EVTCHN_FIFO_LINK_MASK, 0u);
    EXPECT_EQ(g.consume(0), (Ports{p, q}));
}

TEST_F(EvtchnFifo, APriorityChangeWhileLinkedWaitsForTheNextTime) {
    FifoGuest g(m, a);
    const u32 p = bind_ipi(a, 0), q = bind_ipi(a, 0);
    EXPECT_EQ(send(a, p), 0);
    EXPECT_EQ(set_priority(a, p, 1), 0);
    EXPECT_EQ(send(a, q), 0);
    EXPECT_EQ(send(a, p), 0);
    EXPECT_EQ(g.consume(0), (Ports{p, q}));
    EXPECT_EQ(send(a, p), 0);
    EXPECT_EQ(g.control[0]->ready, 1u << 1);
    EXPECT_EQ(g.consume(0), Ports{p});
}

TEST_F(EvtchnFifo, BusyDoesNotStayBehind) {
    FifoGuest g(m, a);
    const u32 p = bind_ipi(a, 0), q = bind_ipi(a, 0);
    EXPECT_EQ(send(a, p), 0);
    set(g, p, EVTCHN_FIFO_BUSY, true);
    EXPECT_EQ(send(a, q), 0);
    EXPECT_FALSE(g.is(p, EVTCHN_FIFO_BUSY));
    EXPECT_EQ(g.consume(0), (Ports{p, q}));
}

TEST_F(EvtchnFifo, AGuestThatScribblesOnItsWordsHurtsOnlyItself) {
    FifoGuest g(m, a);
    const u32 p = bind_ipi(a, 0), q = bind_ipi(a, 0);
    for (u32 garbage : {~0u, 1u << EVTCHN_FIFO_LINKED | 0x1ffffu, 0u, 1u << EVTCHN_FIFO_BUSY}) {
        g.word(p) = garbage;
        EXPECT_EQ(send(a, p), 0);
        EXPECT_EQ(send(a, q), 0);
        g.control[0]->head[7] = 0xffff'ffff;
        g.word(q) = 0;
        EXPECT_EQ(unmask(a, p), 0);
    }
    g.word(q) = 1u << EVTCHN_FIFO_LINKED;
    EXPECT_EQ(close(a, q), 0);
    EXPECT_NE(bind_ipi(a, 0), q);  // still in a queue, as it seems: not used again
    g.word(q) = 0;
    EXPECT_EQ(bind_ipi(a, 0), q);
}

TEST_F(EvtchnFifo, AClosedPortThatIsLinkedIsSkippedUntilItIsTakenOff) {
    FifoGuest g(m, a);
    const u32 p = bind_ipi(a, 0);
    EXPECT_EQ(send(a, p), 0);
    EXPECT_EQ(close(a, p), 0);
    EXPECT_FALSE(g.is(p, EVTCHN_FIFO_PENDING));
    EXPECT_EQ(bind_ipi(a, 0), p + 1);
    EXPECT_EQ(g.consume(0), Ports{});
    EXPECT_EQ(bind_ipi(a, 0), p);
}

TEST_F(EvtchnFifo, PendingAndMaskedMigrate) {
    const u32 p = bind_ipi(a, 0), masked = bind_ipi(a, 0), quiet = bind_ipi(a, 1);
    EXPECT_EQ(send(a, p), 0);
    set_mask(a, masked, true);
    EXPECT_EQ(send(a, masked), 0);
    clear_all(b);
    host::machine.event_checks = 0;
    FifoGuest g(m, a, 0);
    EXPECT_EQ(evtchn::is_pending(a, Port(p)), true);
    EXPECT_EQ(send(a, quiet), 0);  // no word yet: kept
    EXPECT_EQ(evtchn::is_pending(a, Port(quiet)), true);
    EXPECT_EQ(unmask(a, quiet), 0);
    g.add_page(m);
    EXPECT_EQ(g.consume(0), Ports{p});
    EXPECT_EQ(g.consume(1), Ports{quiet});
    EXPECT_TRUE(g.is(masked, EVTCHN_FIFO_MASKED) && g.is(masked, EVTCHN_FIFO_PENDING));
    EXPECT_EQ(unmask(a, masked), 0);
    EXPECT_EQ(g.consume(0), Ports{masked});
}

TEST_F(EvtchnFifo, WhatWasKeptGoesWithThePort) {
    FifoGuest g(m, a, 0);
    const u32 p = bind_ipi(a, 0);
    EXPECT_EQ(send(a, p), 0);
    EXPECT_EQ(close(a, p), 0);
    EXPECT_EQ(bind_ipi(a, 0), p);
    EXPECT_NE(evtchn::is_pending(a, Port(p)), true);
    g.add_page(m);
    EXPECT_EQ(g.consume(0), Ports{});
}

TEST_F(EvtchnFifo, InterdomainFromTwoLevelToFifo) {
    FifoGuest g(m, b);
    const u32 there = alloc_unbound(b, a.id);
    const u32 here = bind_interdomain(a, b, there);
    EXPECT_EQ(bind_vcpu(b, there, 1), 0);
    EXPECT_EQ(send(a, here), 0);
    EXPECT_EQ(g.consume(1), Ports{there});
    clear_all(a);
    EXPECT_EQ(send(b, there), 0);
    EXPECT_TRUE(pending(a, here));
}

TEST_F(EvtchnFifo, AVcpuWithoutControlBlockKeepsItPending) {
    const Mfn page = m.page(a);
    std::memset(m.bytes(page), 0, page_size);
    EXPECT_EQ(init_control(a, 0, page, 0), 0);
    const Mfn words = m.page(a);
    std::memset(m.bytes(words), 0, page_size);
    EXPECT_EQ(expand_array(a, words), 0);
    const u32 p = bind_ipi(a, 1);
    EXPECT_EQ(send(a, p), 0);
    EXPECT_EQ(reinterpret_cast<u32*>(m.bytes(words))[p], 1u << EVTCHN_FIFO_PENDING);
    EXPECT_FALSE(upcall(a, 1));
}

TEST_F(EvtchnFifo, MorePortsThanTwoLevel) {
    FifoGuest g(m, a, 5);
    for (u32 i = 1; i < 4200; ++i) ASSERT_EQ(bind_ipi(a, 0), i);
    EXPECT_EQ(send(a, 4199), 0);
    EXPECT_EQ(g.consume(0), Ports{4199});
    const u64 before = m.preemptions;
    EXPECT_EQ(reset(a), 0);
    (void)before;
    EXPECT_FALSE(a.events->uses_fifo());
    EXPECT_EQ(bind_ipi(a, 0), 1u);
    EXPECT_EQ(status(a, 4199).status, u32{EVTCHNSTAT_closed});
    EXPECT_EQ(unmask(a, 4199), error(XEN_EINVAL));
    EXPECT_NE(evtchn::is_pending(a, Port(4199)), true);
}

TEST_F(EvtchnFifo, TheArrayHasAnEnd) {
    FifoGuest g(m, a, 128);
    const Mfn page = m.page(a);
    EXPECT_EQ(expand_array(a, page), error(XEN_ENOSPC));
    EXPECT_TRUE(state_of(page).type_uses() == 0);
}

// The pages that we write to are held, and let go by reset and by the domain's end (XSA-496/505: and never touched after it).
TEST_F(EvtchnFifo, PagesAreHeldExactlyAsLongAsUsed) {
    const Mfn control = m.page(a), array = m.page(a);
    std::memset(m.bytes(control), 0, page_size);
    std::memset(m.bytes(array), 0, page_size);
    EXPECT_EQ(init_control(a, 0, control, 0), 0);
    EXPECT_EQ(init_control(a, 0, control, 0), error(XEN_EINVAL));  // the error path keeps what was there
    EXPECT_EQ(expand_array(a, array), 0);
    EXPECT_EQ(state_of(control).type_uses(), 1u);
    EXPECT_EQ(state_of(array).type_uses(), 1u);
    const u32 p = bind_ipi(a, 0);
    EXPECT_EQ(reset(a), 0);
    EXPECT_EQ(state_of(control).type_uses(), 0u);
    EXPECT_EQ(state_of(array).type_uses(), 0u);
    EXPECT_EQ(bind_ipi(a, 0), p);
    EXPECT_EQ(send(a, p), 0);
    EXPECT_TRUE(pending(a, p));  // 2-level again
    EXPECT_EQ(init_control(a, 0, control, 0), 0);
    evtchn::close_all(a);
    EXPECT_EQ(state_of(control).type_uses(), 0u);
    EXPECT_EQ(init_control(a, 0, control, 0), error(XEN_EINVAL));
    EXPECT_EQ(state_of(control).type_uses(), 0u);
}

}  // namespace
}  // namespace xylem::test
