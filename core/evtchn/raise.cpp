// SPDX-License-Identifier: MIT
// Making events pending: what runs for every notification, kept short.
#include "core/evtchn/both_ends.hpp"
#include "core/evtchn/table.hpp"
#include "core/evtchn/upcall.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem::evtchn {

void Table::raise_two_level(Channel& channel) {
    const u32 port = channel.port;
    const u32 word = port / 64;
    shared_info& shared = *owner_.shared;
    if (test_and_set(shared.evtchn_pending[word], port % 64)) return;
    if (!test(shared.evtchn_mask[word], port % 64)) {
        Vcpu& v = *owner_.vcpus[channel.notify_vcpu.load(std::memory_order_relaxed)];
        vcpu_info* info = __atomic_load_n(&v.info, __ATOMIC_SEQ_CST);
        if (!test_and_set(info->evtchn_pending_sel, word)) raise_upcall(v);
    }
    sched::wake_pollers(owner_, Port(port));
}

void Table::raise(Channel& channel) {
    if (Fifo* f = fifo())
        f->raise(owner_, channel);
    else
        raise_two_level(channel);
}

Result<> Table::send(Port port) {
    Channel* channel = find(port);
    if (channel == nullptr) return fail(XEN_EINVAL);
    IrqGuard guard(channel->lock);
    switch (channel->now()) {
        case State::interdomain: channel->peer.table->raise(*channel->peer.channel); return {};
        case State::ipi: raise(*channel); return {};
        case State::unbound: return {};  // nobody is there; whoever binds it finds his end pending
        case State::free:
        case State::reserved:
        case State::pirq:
        case State::virq: break;
    }
    return fail(XEN_EINVAL);
}

void Table::raise_virq(u32 virq, VcpuId vcpu) {
    const u32 port = virq_slot(virq, vcpu)->load(std::memory_order_relaxed);
    if (port == 0) return;
    Channel& channel = *find(Port(port));
    IrqGuard guard(channel.lock);
    if (channel.now() == State::virq && channel.virq == virq && channel.notify_vcpu.load(std::memory_order_relaxed) == vcpu.raw)
        raise(channel);
}

void Table::raise_global_virq(u32 virq) {
    const u32 port = global_virqs_[virq].load(std::memory_order_relaxed);
    if (port == 0) return;
    Channel& channel = *find(Port(port));
    IrqGuard guard(channel.lock);
    if (channel.now() == State::virq && channel.virq == virq) raise(channel);
}

bool Table::raise_pirq(Port port, Pirq pirq) {
    Channel* channel = find(port);
    if (channel == nullptr) return false;
    IrqGuard guard(channel->lock);
    if (channel->now() != State::pirq || channel->pirq != pirq) return false;
    raise(*channel);
    return true;
}

void Table::unmask_two_level(Channel& channel) {
    const u32 port = channel.port;
    const u32 word = port / 64;
    shared_info& shared = *owner_.shared;
    // A guest that finds the port pending and unmasked does not need us.
    if (!test_and_clear(shared.evtchn_mask[word], port % 64)) return;
    if (!test(shared.evtchn_pending[word], port % 64)) return;
    Vcpu& v = *owner_.vcpus[channel.notify_vcpu.load(std::memory_order_relaxed)];
    vcpu_info* info = __atomic_load_n(&v.info, __ATOMIC_SEQ_CST);
    if (!test_and_set(info->evtchn_pending_sel, word)) raise_upcall(v);
}

Result<> Table::unmask(Port port) {
    Channel* channel = find(port);
    if (channel == nullptr) return fail(XEN_EINVAL);
    IrqGuard guard(channel->lock);
    // Only a port in use keeps the FIFO ABI's structures where they are.
    const State state = channel->now();
    if (state == State::free || state == State::reserved) return fail(XEN_EINVAL);
    if (Fifo* f = fifo())
        f->unmask(owner_, *channel);
    else
        unmask_two_level(*channel);
    return {};
}

Result<> Table::set_priority(Port port, u32 priority) {
    if (priority > EVTCHN_FIFO_PRIORITY_MIN) return fail(XEN_EINVAL);
    Channel* channel = find(port);
    if (channel == nullptr) return fail(XEN_EINVAL);
    IrqGuard guard(channel->lock);
    const State state = channel->now();
    if (state == State::free || state == State::reserved) return fail(XEN_EINVAL);
    if (!uses_fifo()) return fail(XEN_ENOSYS);
    channel->priority.store(static_cast<u8>(priority), std::memory_order_relaxed);
    return {};
}

void Table::clear_pending(Channel& channel) {
    if (Fifo* f = fifo())
        f->clear_pending(channel);
    else if (channel.port < two_level_ports)
        (void)test_and_clear(owner_.shared->evtchn_pending[channel.port / 64], channel.port % 64);
}

bool Table::channel_pending(Channel& channel) {
    if (Fifo* f = fifo()) return f->is_pending(channel);
    return channel.port < two_level_ports && test(owner_.shared->evtchn_pending[channel.port / 64], channel.port % 64);
}

Result<bool> Table::is_pending(Port port) {
    Channel* channel = find(port);
    if (channel == nullptr) return fail(XEN_EINVAL);
    IrqGuard guard(channel->lock);
    const State state = channel->now();
    if (state == State::free || state == State::reserved) return fail(XEN_EINVAL);
    return channel_pending(*channel);
}

}  // namespace xylem::evtchn
