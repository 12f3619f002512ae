// SPDX-License-Identifier: MIT
// Bytes are sequences of event channel and interrupt hypercalls by three domains, whose kernels also write to their shared
// memory. After every step each port agrees with its peer, with the VIRQ maps and with the interrupt lines.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "arch/host/irqchip.hpp"
#include "arch/host/machine.hpp"
#include "arch/host/memory.hpp"
#include "core/domain/domain_list.hpp"
#include "core/evtchn/events.hpp"
#include "core/evtchn/table.hpp"
#include "core/irq/pirq_table.hpp"
#include "tests/unit/core/grant/fakes.cpp"  // weak: gives way to the real machine's parts

namespace {

using namespace xylem;

struct Input {
    const u8* at;
    const u8* end;
    bool empty() const { return at == end; }
    u32 byte() { return empty() ? 0 : *at++; }
};

struct Guest {
    Domain* domain = nullptr;
    Mfn pages[4];
};

[[noreturn]] void broken(const char* what) {
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
}

// Mostly a low port, now and then any number.
u32 port_of(Input& in) {
    const u32 b = in.byte();
    if (b < 250) return b % 40;
    return b == 250 ? ~0u : b == 251 ? 131071 : b == 252 ? 4095 : in.byte() << 8 | in.byte();
}
domid_t domain_of(Input& in) {
    const u32 b = in.byte() % 5;
    return b == 3 ? domid_t{DOMID_SELF} : b == 4 ? domid_t{77} : static_cast<domid_t>(b);
}

template <class Op>
void call(Guest& g, u32 command, Op op) {
    (void)evtchn::event_channel_op(*g.domain->vcpus[0], command, reinterpret_cast<u64>(&op));
}
template <class Op>
void physdev(Guest& g, u32 command, Op op) {
    (void)irq::physdev_op(*g.domain->vcpus[0], command, reinterpret_cast<u64>(&op));
}

void event_call(Guest& g, u32 command, Input& in) {
    switch (command) {
        case EVTCHNOP_bind_interdomain: return call(g, command, evtchn_bind_interdomain{domain_of(in), port_of(in), 0});
        case EVTCHNOP_bind_virq: return call(g, command, evtchn_bind_virq{in.byte() % 26, in.byte() % 4, 0});
        case EVTCHNOP_bind_pirq: return call(g, command, evtchn_bind_pirq{in.byte() % 60, in.byte() % 2, 0});
        case EVTCHNOP_close: return call(g, command, evtchn_close{port_of(in)});
        case EVTCHNOP_send: return call(g, command, evtchn_send{port_of(in)});
        case EVTCHNOP_status: {
            evtchn_status op{};
            op.dom = domain_of(in);
            op.port = port_of(in);
            return call(g, command, op);
        }
        case EVTCHNOP_alloc_unbound: return call(g, command, evtchn_alloc_unbound{domain_of(in), domain_of(in), 0});
        case EVTCHNOP_bind_ipi: return call(g, command, evtchn_bind_ipi{in.byte() % 4, 0});
        case EVTCHNOP_bind_vcpu: return call(g, command, evtchn_bind_vcpu{port_of(in), in.byte() % 4});
        case EVTCHNOP_unmask: return call(g, command, evtchn_unmask{port_of(in)});
        case EVTCHNOP_reset: return call(g, command, evtchn_reset{domain_of(in)});
        case EVTCHNOP_init_control: {
            evtchn_init_control op{};
            op.control_gfn = g.pages[in.byte() % 4].raw;
            op.offset = in.byte() * 4;
            op.vcpu = in.byte() % 4;
            return call(g, command, op);
        }
        case EVTCHNOP_expand_array: return call(g, command, evtchn_expand_array{g.pages[in.byte() % 4].raw});
        default: return call(g, EVTCHNOP_set_priority, evtchn_set_priority{port_of(in), in.byte() % 17});
    }
}

void interrupt_call(Guest& g, Input& in) {
    switch (in.byte() % 5) {
        case 0: {
            physdev_map_pirq op{};
            op.domid = domain_of(in);
            op.type = MAP_PIRQ_TYPE_GSI;
            op.index = static_cast<int>(in.byte() % 26);
            op.pirq = static_cast<int>(in.byte() % 60) - 1;
            return physdev(g, PHYSDEVOP_map_pirq, op);
        }
        case 1: return physdev(g, PHYSDEVOP_unmap_pirq, physdev_unmap_pirq{domain_of(in), static_cast<int>(in.byte() % 60)});
        case 2: return physdev(g, PHYSDEVOP_eoi, physdev_eoi{in.byte() % 60});
        case 3: return physdev(g, PHYSDEVOP_get_free_pirq, physdev_get_free_pirq{static_cast<int>(in.byte() % 2), 0});
        default: irq::on_vector(host::irqchip.pins[in.byte() % 24].vector);
    }
}

// What a kernel, honest or not, does to its shared memory. Pending bits of the 2-level ABI it only clears.
void scribble(Guest& g, Input& in) {
    const u32 what = in.byte() % 4, where = in.byte();
    if (what == 0) g.domain->shared->evtchn_mask[0] ^= u64{1} << where % 64;
    if (what == 1) g.domain->shared->evtchn_pending[0] &= ~(u64{1} << where % 64);
    if (what == 2) g.domain->vcpus[where % 2]->info->evtchn_upcall_pending = 0;
    if (what == 3) {
        u32 value = 0;
        for (int i = 0; i < 4; ++i) value = value << 8 | in.byte();
        static_cast<u32*>(port::frame_address(g.pages[where % 4]))[in.byte()] = value;
    }
}

void check(std::array<Guest, 3>& guests) {
    for (Guest& g : guests) {
        // In the FIFO ABI pending bits are in words that the guest may write as it likes: states only.
        if (!g.domain->events->is_consistent(g.domain->events->uses_fifo())) broken("event channels");
        if (!g.domain->pirqs->is_consistent()) broken("pirqs");
    }
    if (!cpu::irqs_enabled()) broken("interrupts are left off");
}

void make(test::World& world, Guest& g, u16 id) {
    Domain& d = world.add_domain(id);
    d.is_hardware_domain = id == 0;
    d.shared = static_cast<shared_info*>(std::calloc(1, sizeof(shared_info)));
    world.vcpus.push_back(std::make_unique<Vcpu>(d, VcpuId(1)));
    d.vcpus[1] = world.vcpus.back().get();
    d.max_vcpus = 2;
    for (u32 i = 0; i < 2; ++i) d.vcpus[i]->info = &d.shared->vcpu_info[i];
    if (!evtchn::create_table(d, evtchn::fifo_ports) || !irq::create_table(d, 32)) broken("no memory");
    (void)irq::set_irq_permission(d, Gsi(17), true);
    for (Mfn& page : g.pages) page = world.page(d);
    g.domain = &d;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
    Input in{data, data + std::min<usize>(size, 2000)};
    host::start_memory(host::few_frames);
    host::irqchip = {};
    host::machine = {};
    irq::lines().forget_for_tests();
    test::World world;
    std::array<Guest, 3> guests;
    for (u16 id = 0; id < 3; ++id) make(world, guests[id], id);
    while (!in.empty()) {
        const u32 b = in.byte();
        Guest& g = guests[b % 3];
        world.current = g.domain->vcpus[0];
        host::machine.current[0] = world.current;
        const u32 operation = b / 3 % 20;
        if (operation < 14)
            event_call(g, operation, in);
        else if (operation < 17)
            interrupt_call(g, in);
        else if (operation == 17)
            evtchn::send_vcpu_virq(*g.domain->vcpus[in.byte() % 2], in.byte() % 24);
        else
            scribble(g, in);
        check(guests);
    }
    for (Guest& g : guests) {
        evtchn::close_all(*g.domain);
        irq::unmap_all(*g.domain);
        if (g.domain->events->ports_in_use() != 0) broken("ports left");
        for (Mfn page : g.pages)
            if (test::state_of(page).type_uses() != 0) broken("pages still held");
    }
    for (Guest& g : guests) {
        xylem::remove_domain(*g.domain);
        if (g.domain->references.load() != 1) broken("references left");
        evtchn::free_table(*g.domain);
        irq::free_table(*g.domain);
        std::free(g.domain->shared);
    }
    return 0;
}
