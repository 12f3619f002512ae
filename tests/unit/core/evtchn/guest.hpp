// SPDX-License-Identifier: MIT
// Guests for the tests of event channels: domains of the grant tests' world with vCPUs, a shared_info and hypercalls.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "arch/host/machine.hpp"
#include "core/domain/domain_list.hpp"
#include "core/evtchn/events.hpp"
#include "core/evtchn/table.hpp"
#include "core/irq/pirq.hpp"
#include "tests/unit/core/grant/world.hpp"

namespace xylem::test {

inline constexpr CpuId guests_cpu{3};  // vCPUs "run" elsewhere: a kick() is an event check there

struct Machine : World {
    Machine() { host::machine = {}; }
    ~Machine() {
        for (auto& d : owned) {
            xylem::remove_domain(*d);
            evtchn::close_all(*d);
            irq::unmap_all(*d);
        }
        for (auto& d : owned) {
            if (d->references.load() != 1) ADD_FAILURE() << "d" << d->id.raw << ": references left";
            evtchn::free_table(*d);
            irq::free_table(*d);
            for (u32 i = 0; i < d->max_vcpus; ++i) d->vcpus[i]->info = nullptr;
            std::free(d->shared);
        }
    }

    Domain& add_guest(u16 id, u32 vcpu_count = 2, u32 max_channels = evtchn::fifo_ports) {
        Domain& d = add_domain(id);
        d.is_hardware_domain = id == 0;
        d.shared = static_cast<shared_info*>(std::calloc(1, sizeof(shared_info)));
        for (u32 i = 1; i < vcpu_count; ++i) {
            vcpus.push_back(std::make_unique<Vcpu>(d, VcpuId(i)));
            d.vcpus[i] = vcpus.back().get();
        }
        d.max_vcpus = vcpu_count;
        for (u32 i = 0; i < vcpu_count; ++i) {
            d.vcpus[i]->info = &d.shared->vcpu_info[i];
            d.vcpus[i]->sched.on_cpu = true;
            d.vcpus[i]->sched.cpu = guests_cpu;
        }
        if (!evtchn::create_table(d, max_channels)) std::abort();
        if (!irq::create_table(d, 32)) std::abort();
        return d;
    }
};

template <class Op>
long event_op(Domain& d, u32 command, Op& op) {
    world->current = d.vcpus[0];
    host::machine.current[0] = d.vcpus[0];
    return evtchn::event_channel_op(*d.vcpus[0], command, reinterpret_cast<u64>(&op));
}

inline u32 alloc_unbound(Domain& d, DomId remote, DomId in = domid_self) {
    evtchn_alloc_unbound op{in.raw, remote.raw, 0};
    EXPECT_EQ(event_op(d, EVTCHNOP_alloc_unbound, op), 0);
    return op.port;
}
inline long try_bind(Domain& d, DomId remote, u32 remote_port, u32* port = nullptr) {
    evtchn_bind_interdomain op{remote.raw, remote_port, 0};
    const long rc = event_op(d, EVTCHNOP_bind_interdomain, op);
    if (port != nullptr) *port = op.local_port;
    return rc;
}
inline u32 bind_interdomain(Domain& d, Domain& remote, u32 remote_port) {
    u32 port = 0;
    EXPECT_EQ(try_bind(d, remote.id, remote_port, &port), 0);
    return port;
}
inline long try_virq(Domain& d, u32 virq, u32 vcpu, u32* port = nullptr) {
    evtchn_bind_virq op{virq, vcpu, 0};
    const long rc = event_op(d, EVTCHNOP_bind_virq, op);
    if (port != nullptr) *port = op.port;
    return rc;
}
inline long try_ipi(Domain& d, u32 vcpu, u32* port = nullptr) {
    evtchn_bind_ipi op{vcpu, 0};
    const long rc = event_op(d, EVTCHNOP_bind_ipi, op);
    if (port != nullptr) *port = op.port;
    return rc;
}
inline u32 bind_ipi(Domain& d, u32 vcpu) {
    u32 port = 0;
    EXPECT_EQ(try_ipi(d, vcpu, &port), 0);
    return port;
}
inline long send(Domain& d, u32 port) {
    evtchn_send op{port};
    return event_op(d, EVTCHNOP_send, op);
}
inline long close(Domain& d, u32 port) {
    evtchn_close op{port};
    return event_op(d, EVTCHNOP_close, op);
}
inline long unmask(Domain& d, u32 port) {
    evtchn_unmask op{port};
    return event_op(d, EVTCHNOP_unmask, op);
}
inline long bind_vcpu(Domain& d, u32 port, u32 vcpu) {
    evtchn_bind_vcpu op{port, vcpu};
    return event_op(d, EVTCHNOP_bind_vcpu, op);
}
inline long reset(Domain& d, DomId which = domid_self) {
    evtchn_reset op{which.raw};
    return event_op(d, EVTCHNOP_reset, op);
}
inline evtchn_status status(Domain& d, u32 port, DomId of = domid_self, long wanted = 0) {
    evtchn_status op{};
    op.dom = of.raw;
    op.port = port;
    op.status = 99;
    EXPECT_EQ(event_op(d, EVTCHNOP_status, op), wanted);
    return op;
}
inline long init_control(Domain& d, u32 vcpu, Mfn page, u32 offset, u8* link_bits = nullptr) {
    evtchn_init_control op{};
    op.control_gfn = page.raw;
    op.offset = offset;
    op.vcpu = vcpu;
    const long rc = event_op(d, EVTCHNOP_init_control, op);
    if (link_bits != nullptr) *link_bits = op.link_bits;
    return rc;
}
inline long expand_array(Domain& d, Mfn page) {
    evtchn_expand_array op{page.raw};
    return event_op(d, EVTCHNOP_expand_array, op);
}
inline long set_priority(Domain& d, u32 port, u32 priority) {
    evtchn_set_priority op{port, priority};
    return event_op(d, EVTCHNOP_set_priority, op);
}

// --- what the guest sees in the 2-level ABI
inline bool pending(Domain& d, u32 port) {
    return (d.shared->evtchn_pending[port / 64] >> port % 64 & 1) != 0;
}
inline void set_mask(Domain& d, u32 port, bool on) {
    const u64 bit = u64{1} << port % 64;
    if (on)
        d.shared->evtchn_mask[port / 64] |= bit;
    else
        d.shared->evtchn_mask[port / 64] &= ~bit;
}
inline bool upcall(Domain& d, u32 vcpu = 0) {
    return d.vcpus[vcpu]->info->evtchn_upcall_pending != 0;
}
// The guest has looked at everything.
inline void clear_all(Domain& d) {
    for (u32 i = 0; i < d.max_vcpus; ++i) {
        d.vcpus[i]->info->evtchn_upcall_pending = 0;
        d.vcpus[i]->info->evtchn_pending_sel = 0;
    }
    std::memset(d.shared->evtchn_pending, 0, sizeof d.shared->evtchn_pending);
    host::machine.event_checks = 0;
}

// A guest with the FIFO ABI that consumes events as the header prescribes.
struct FifoGuest {
    Domain& d;
    std::vector<event_word_t*> pages;
    std::vector<evtchn_fifo_control_block*> control;
    u32 heads[8][EVTCHN_FIFO_MAX_QUEUES]{};

    FifoGuest(World& w, Domain& domain, u32 array_pages = 1) : d(domain) {
        for (u32 v = 0; v < d.max_vcpus; ++v) {
            const Mfn page = w.page(d);
            std::memset(w.bytes(page), 0, page_size);
            control.push_back(reinterpret_cast<evtchn_fifo_control_block*>(w.bytes(page) + 128));
            EXPECT_EQ(init_control(d, v, page, 128), 0);
        }
        for (u32 i = 0; i < array_pages; ++i) add_page(w);
    }
    void add_page(World& w) {
        const Mfn page = w.page(d);
        std::memset(w.bytes(page), 0, page_size);
        pages.push_back(reinterpret_cast<event_word_t*>(w.bytes(page)));
        EXPECT_EQ(expand_array(d, page), 0);
    }
    event_word_t& word(u32 port) { return pages[port / 1024][port % 1024]; }
    bool is(u32 port, u32 bit) { return (word(port) >> bit & 1) != 0; }

    // Handles an upcall of one vCPU: the ports in order of delivery.
    std::vector<u32> consume(u32 vcpu) {
        std::vector<u32> seen;
        d.vcpus[vcpu]->info->evtchn_upcall_pending = 0;
        u32 ready = std::exchange(control[vcpu]->ready, 0);
        while (ready != 0) {
            const u32 q = static_cast<u32>(__builtin_ctz(ready));
            u32& head = heads[vcpu][q];
            if (head == 0) head = control[vcpu]->head[q];
            event_word_t& w = word(head);
            const u32 port = head;
            head = w & EVTCHN_FIFO_LINK_MASK;
            w &= ~(1u << EVTCHN_FIFO_LINKED | u32{EVTCHN_FIFO_LINK_MASK});
            if (head == 0) ready &= ~(1u << q);
            if ((w >> EVTCHN_FIFO_PENDING & 1) != 0 && (w >> EVTCHN_FIFO_MASKED & 1) == 0) {
                w &= ~(1u << EVTCHN_FIFO_PENDING);
                seen.push_back(port);
            }
            ready |= std::exchange(control[vcpu]->ready, 0);
        }
        return seen;
    }
};

}  // namespace xylem::test
