// SPDX-License-Identifier: MIT
#include "guest/lib/events.hpp"

#include <atomic>
#include <bit>

#include "guest/kit/calls.hpp"
#include "guest/kit/cpu.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/traps.hpp"

namespace xylem::events {
namespace {

using namespace kit;

struct Binding {
    Handler handler;
    void* argument;
};
Binding bindings[max_ports];

constexpr u32 words_per_page = page_size / sizeof(event_word_t);
constexpr u32 queues = EVTCHN_FIFO_MAX_QUEUES;
event_word_t* array_pages[max_ports / words_per_page + 1];
evtchn_fifo_control_block_t* controls[max_vcpus];
u32 heads[max_vcpus][queues];
bool fifo;

constexpr u32 pending_bit = 1u << EVTCHN_FIFO_PENDING, masked_bit = 1u << EVTCHN_FIFO_MASKED,
              linked_bit = 1u << EVTCHN_FIFO_LINKED, busy_bit = 1u << EVTCHN_FIFO_BUSY,
              link_mask = (1u << EVTCHN_FIFO_LINK_BITS) - 1;

template <class T>
std::atomic_ref<T> atomic(T& t) {
    return std::atomic_ref<T>(t);
}
u32& word_of(u32 port) {
    return array_pages[port / words_per_page][port % words_per_page];
}
template <usize N>
bool test(const xen_ulong_t (&bits)[N], u32 port) {
    return (const_cast<const volatile xen_ulong_t*>(bits)[port / 64] >> (port % 64) & 1) != 0;
}

void deliver(u32 port) {
    const Binding b = port < max_ports ? bindings[port] : Binding{};
    if (b.handler == nullptr) {
        mask(port);
        return;
    }
    clear(port);
    b.handler(port, b.argument);
}

void deliver_two_level(Cpu& cpu) {
    u64 selector = atomic(cpu.info->evtchn_pending_sel).exchange(0);
    while (selector != 0) {
        const u32 group = static_cast<u32>(std::countr_zero(selector));
        selector &= selector - 1;
        while (true) {
            const u64 due = *const_cast<volatile xen_ulong_t*>(&shared().evtchn_pending[group]) & ~shared().evtchn_mask[group];
            if (due == 0) break;
            deliver(group * 64 + static_cast<u32>(std::countr_zero(due)));
        }
    }
}

// Takes the first port off a queue; the hypervisor may be appending at the same time.
void deliver_one(Cpu& cpu, u32 queue, u32& ready) {
    u32& head = heads[cpu.id][queue];
    if (head == 0) head = atomic(controls[cpu.id]->head[queue]).load();
    if (head == 0) {
        ready &= ~(1u << queue);
        return;
    }
    const u32 port = head;
    u32& word = word_of(port);
    u32 seen = atomic(word).load();
    while (!atomic(word).compare_exchange_weak(seen, seen & ~(linked_bit | link_mask))) {
    }
    head = seen & link_mask;
    if (head == 0) ready &= ~(1u << queue);
    if ((seen & pending_bit) != 0 && (seen & masked_bit) == 0) deliver(port);
}

void deliver_fifo(Cpu& cpu) {
    if (controls[cpu.id] == nullptr) return;
    u32 ready = atomic(controls[cpu.id]->ready).exchange(0);
    while (ready != 0) {
        deliver_one(cpu, static_cast<u32>(std::countr_zero(ready)), ready);
        ready |= atomic(controls[cpu.id]->ready).exchange(0);
    }
}

void upcall(Cpu& cpu) {
    while (atomic(cpu.info->evtchn_upcall_pending).exchange(0) != 0) {
        if (fifo) {
            deliver_fifo(cpu);
        } else {
            deliver_two_level(cpu);
        }
    }
}

Result<u32> answer(long r, u32 port, Handler handler, void* argument) {
    if (r < 0) return fail(static_cast<Errno>(-r));
    if (fifo && array_pages[port / words_per_page] == nullptr) return fail(XEN_ENOSPC);
    set_handler(port, handler, argument);
    unmask(port);
    return port;
}

}  // namespace

void start() {
    for (auto& w : shared().evtchn_mask) w = ~xen_ulong_t{0};
    set_upcall(upcall);
}

bool is_fifo() {
    return fifo;
}

Result<> use_fifo_on_this_vcpu() {
    Cpu& cpu = this_cpu();
    void* const page = allocate_pages();
    if (page == nullptr) return fail(XEN_ENOMEM);
    evtchn_init_control_t request{};
    request.control_gfn = frame_at(page).raw;
    request.vcpu = cpu.id;
    controls[cpu.id] = static_cast<evtchn_fifo_control_block_t*>(page);
    if (const long r = event_channel_op(EVTCHNOP_init_control, &request); r < 0) {
        controls[cpu.id] = nullptr;
        free_pages(page);
        return fail(static_cast<Errno>(-r));
    }
    return {};
}

Result<> use_fifo() {
    const EventsMasked guard;
    void* const page = allocate_pages();
    if (page == nullptr) return fail(XEN_ENOMEM);
    auto* words = static_cast<event_word_t*>(page);
    for (u32 i = 0; i < words_per_page; ++i) words[i] = masked_bit;
    TRY(use_fifo_on_this_vcpu());
    fifo = true;
    evtchn_expand_array_t request{.array_gfn = frame_at(page).raw};
    if (const long r = event_channel_op(EVTCHNOP_expand_array, &request); r < 0) return fail(static_cast<Errno>(-r));
    array_pages[0] = words;
    return {};
}

Result<u32> bind_virq(u32 virq, u32 vcpu, Handler handler, void* argument) {
    evtchn_bind_virq_t request{.virq = virq, .vcpu = vcpu, .port = 0};
    const long r = event_channel_op(EVTCHNOP_bind_virq, &request);
    return answer(r, request.port, handler, argument);
}
Result<u32> bind_ipi(u32 vcpu, Handler handler, void* argument) {
    evtchn_bind_ipi_t request{.vcpu = vcpu, .port = 0};
    const long r = event_channel_op(EVTCHNOP_bind_ipi, &request);
    return answer(r, request.port, handler, argument);
}
Result<u32> bind_pirq(u32 pirq, bool may_share, Handler handler, void* argument) {
    evtchn_bind_pirq_t request{.pirq = pirq, .flags = may_share ? BIND_PIRQ__WILL_SHARE : 0u, .port = 0};
    const long r = event_channel_op(EVTCHNOP_bind_pirq, &request);
    return answer(r, request.port, handler, argument);
}
Result<u32> bind_interdomain(DomId domain, u32 remote_port, Handler handler, void* argument) {
    evtchn_bind_interdomain_t request{.remote_dom = domain.raw, .remote_port = remote_port, .local_port = 0};
    const long r = event_channel_op(EVTCHNOP_bind_interdomain, &request);
    return answer(r, request.local_port, handler, argument);
}
Result<u32> offer(DomId remote, Handler handler, void* argument) {
    evtchn_alloc_unbound_t request{.dom = DOMID_SELF, .remote_dom = remote.raw, .port = 0};
    const long r = event_channel_op(EVTCHNOP_alloc_unbound, &request);
    return answer(r, request.port, handler, argument);
}

long close(u32 port) {
    mask(port);
    if (port < max_ports) bindings[port] = {};
    evtchn_close_t request{.port = port};
    return event_channel_op(EVTCHNOP_close, &request);
}

long notify(u32 port) {
    evtchn_send_t request{.port = port};
    return event_channel_op(EVTCHNOP_send, &request);
}

void set_handler(u32 port, Handler handler, void* argument) {
    const EventsMasked guard;
    if (port < max_ports) bindings[port] = {handler, argument};
}

void mask(u32 port) {
    if (fifo) {
        atomic(word_of(port)).fetch_or(masked_bit);
    } else {
        atomic(shared().evtchn_mask[port / 64]).fetch_or(xen_ulong_t{1} << (port % 64));
    }
}

void unmask(u32 port) {
    evtchn_unmask_t request{.port = port};
    if (!fifo) {
        event_channel_op(EVTCHNOP_unmask, &request);
        return;
    }
    u32& word = word_of(port);
    u32 seen = atomic(word).load() & ~busy_bit;
    while (!atomic(word).compare_exchange_weak(seen, seen & ~masked_bit)) seen &= ~busy_bit;
    if ((seen & pending_bit) != 0) event_channel_op(EVTCHNOP_unmask, &request);
}

bool is_masked(u32 port) {
    return fifo ? (atomic(word_of(port)).load() & masked_bit) != 0 : test(shared().evtchn_mask, port);
}
bool is_pending(u32 port) {
    return fifo ? (atomic(word_of(port)).load() & pending_bit) != 0 : test(shared().evtchn_pending, port);
}
void clear(u32 port) {
    if (fifo) {
        atomic(word_of(port)).fetch_and(~pending_bit);
    } else {
        atomic(shared().evtchn_pending[port / 64]).fetch_and(~(xen_ulong_t{1} << (port % 64)));
    }
}
long set_priority(u32 port, u32 priority) {
    evtchn_set_priority_t request{.port = port, .priority = priority};
    return event_channel_op(EVTCHNOP_set_priority, &request);
}

}  // namespace xylem::events
