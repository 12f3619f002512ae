// SPDX-License-Identifier: MIT
// Which ports are in use, and for what.
#include "core/evtchn/table.hpp"

#include "base/panic.hpp"
#include "core/evtchn/both_ends.hpp"
#include "core/irq/pirq.hpp"
#include "core/port/preempt.hpp"

namespace xylem::evtchn {
namespace {

// The four VIRQs that every vCPU has its own of [xen/xen.h]; -1 for the others.
int vcpu_virq_index(u32 virq) {
    switch (virq) {
        case VIRQ_TIMER: return 0;
        case VIRQ_DEBUG: return 1;
        case VIRQ_XENOPROF: return 2;
        case VIRQ_XENPMU: return 3;
        default: return -1;
    }
}

}  // namespace

Table::~Table() {
    Guard guard(lock_);
    XYLEM_BUG_ON(used_ != 0);
    destroy_fifo();
    for (auto& slot : groups_) {
        Group* group = slot.load(std::memory_order_relaxed);
        if (group == nullptr) continue;
        for (auto& bucket : group->buckets) heap_release(bucket.load(std::memory_order_relaxed), sizeof(Bucket));
        heap_release(group, sizeof(Group));
    }
}

// --- ports -------------------------------------------------------------------------------------------------------------------

Result<Channel*> Table::make_channel(u32 port) {
    std::atomic<Group*>& slot = groups_[port / channels_per_bucket / buckets_per_group];
    Group* group = slot.load(std::memory_order_relaxed);
    if (group == nullptr) {
        void* p = heap_allocate(sizeof(Group));
        if (p == nullptr) return fail(XEN_ENOMEM);
        group = ::new (p) Group;
        slot.store(group, std::memory_order_release);
    }
    void* p = heap_allocate(sizeof(Bucket));
    if (p == nullptr) return fail(XEN_ENOMEM);
    Bucket* bucket = ::new (p) Bucket;
    const u32 first = port - port % channels_per_bucket;
    for (u32 i = 0; i < channels_per_bucket; ++i) bucket->channels[i].port = first + i;
    if (first == 0) bucket->channels[0].become(State::reserved);
    group->buckets[port / channels_per_bucket % buckets_per_group].store(bucket, std::memory_order_release);
    return &bucket->channels[port % channels_per_bucket];
}

Result<Channel*> Table::allocate() {
    if (closed_) return fail(XEN_EINVAL);
    const Fifo* f = fifo();
    const u32 limit = f != nullptr ? max_channels_ : std::min(max_channels_, two_level_ports);
    for (u32 port = lowest_free_; port < limit; ++port) {
        Channel* channel = find(Port(port));
        if (channel == nullptr) channel = TRY(make_channel(port));
        const bool free = channel->now() == State::free;
        if (free && f != nullptr && f->is_linked(port)) continue;
        if (!free) {
            if (port == lowest_free_) ++lowest_free_;
            continue;
        }
        IrqGuard guard(channel->lock);
        channel->become(State::reserved);
        channel->notify_vcpu.store(0, std::memory_order_relaxed);
        channel->priority.store(EVTCHN_FIFO_PRIORITY_DEFAULT, std::memory_order_relaxed);
        ++used_;
        if (port == lowest_free_) ++lowest_free_;
        return channel;
    }
    return fail(XEN_ENOSPC);
}

// From any state whose ties to others are gone; nobody raises it any more.
void Table::give_back(Channel& channel) {
    clear_pending(channel);
    channel.peer = {};
    channel.become(State::free);
    --used_;
    lowest_free_ = std::min(lowest_free_, channel.port);
}

Result<Port> Table::alloc_unbound(DomId remote) {
    Guard guard(lock_);
    Channel* channel = TRY(allocate());
    IrqGuard g(channel->lock);
    channel->remote = remote;
    channel->become(State::unbound);
    return Port(channel->port);
}

Result<> Table::link(Channel& here, Table& remote, Channel& there) {
    const u64 flags = cpu::irq_save();
    Channel& first = &here < &there ? here : there;
    Channel& second = &here < &there ? there : here;
    first.lock.lock();
    second.lock.lock();
    const bool waits_for_us = there.now() == State::unbound && there.remote == owner_.id;
    if (waits_for_us) {
        here.peer = {&remote, &there};
        here.become(State::interdomain);
        there.peer = {this, &here};
        there.become(State::interdomain);
        raise(here);
    }
    second.lock.unlock();
    first.lock.unlock();
    cpu::irq_restore(flags);
    if (!waits_for_us) return fail(XEN_EINVAL);
    return {};
}

Result<Port> Table::bind_interdomain(Table& remote, Port remote_port) {
    Channel* there = remote.find(remote_port);
    if (there == nullptr) return fail(XEN_EINVAL);
    Guard guard(lock_);
    Channel* here = TRY(allocate());
    if (Result<> linked = here == there ? fail(XEN_EINVAL) : link(*here, remote, *there); !linked) {
        IrqGuard g(here->lock);
        give_back(*here);
        return fail(linked.error());
    }
    return Port(here->port);
}

std::atomic<u32>* Table::virq_slot(u32 virq, VcpuId vcpu) {
    const int index = vcpu_virq_index(virq);
    return index < 0 ? &global_virqs_[virq] : &vcpu_virqs_[vcpu.raw][static_cast<u32>(index)];
}

Result<Port> Table::bind_virq(u32 virq, VcpuId vcpu) {
    if (virq >= virqs) return fail(XEN_EINVAL);
    if (vcpu_virq_index(virq) < 0 && vcpu.raw != 0) return fail(XEN_EINVAL);
    if (owner_.vcpu(vcpu) == nullptr) return fail(XEN_ENOENT);
    Guard guard(lock_);
    std::atomic<u32>* slot = virq_slot(virq, vcpu);
    if (slot->load(std::memory_order_relaxed) != 0) return fail(XEN_EEXIST);
    Channel* channel = TRY(allocate());
    IrqGuard g(channel->lock);
    channel->virq = virq;
    channel->notify_vcpu.store(static_cast<u16>(vcpu.raw), std::memory_order_relaxed);
    channel->become(State::virq);
    slot->store(channel->port, std::memory_order_relaxed);
    return Port(channel->port);
}

Result<Port> Table::bind_ipi(VcpuId vcpu) {
    if (owner_.vcpu(vcpu) == nullptr) return fail(XEN_ENOENT);
    Guard guard(lock_);
    Channel* channel = TRY(allocate());
    IrqGuard g(channel->lock);
    channel->notify_vcpu.store(static_cast<u16>(vcpu.raw), std::memory_order_relaxed);
    channel->become(State::ipi);
    return Port(channel->port);
}

Result<Port> Table::bind_pirq(Pirq pirq, bool will_share) {
    Guard guard(lock_);
    Channel* channel = TRY(allocate());
    {
        // Ready before the line is: the first interrupt may come at once.
        IrqGuard g(channel->lock);
        channel->pirq = pirq;
        channel->become(State::pirq);
    }
    if (Result<> bound = irq::bind_pirq(owner_, pirq, Port(channel->port), will_share); !bound) {
        IrqGuard g(channel->lock);
        give_back(*channel);
        return fail(bound.error());
    }
    return Port(channel->port);
}

Result<> Table::close_locked(Channel& channel, DomainRef& keep) {
    if (channel.now() == State::pirq) irq::unbind_pirq(owner_, channel.pirq, Port(channel.port));
    BothEnds ends(channel, keep);
    switch (channel.now()) {
        case State::free:
        case State::reserved: return fail(XEN_EINVAL);
        case State::interdomain: {
            Channel& other = *ends.peer().channel;
            other.remote = owner_.id;
            other.become(State::unbound);
            break;
        }
        case State::virq:
            virq_slot(channel.virq, VcpuId(channel.notify_vcpu.load(std::memory_order_relaxed)))
                ->store(0, std::memory_order_relaxed);
            break;
        case State::unbound:
        case State::pirq:
        case State::ipi: break;
    }
    give_back(channel);
    return {};
}

Result<> Table::close(Port port) {
    Channel* channel = find(port);
    if (channel == nullptr) return fail(XEN_EINVAL);
    DomainRef keep;
    Guard guard(lock_);
    return close_locked(*channel, keep);
}

Result<> Table::bind_vcpu(Port port, VcpuId vcpu) {
    Vcpu* v = owner_.vcpu(vcpu);
    if (v == nullptr) return fail(XEN_ENOENT);
    Channel* channel = find(port);
    if (channel == nullptr) return fail(XEN_EINVAL);
    Guard guard(lock_);
    {
        IrqGuard g(channel->lock);
        switch (channel->now()) {
            case State::free:
            case State::reserved:
            case State::ipi: return fail(XEN_EINVAL);
            case State::virq:
                if (vcpu_virq_index(channel->virq) >= 0) return fail(XEN_EINVAL);
                break;
            case State::unbound:
            case State::interdomain:
            case State::pirq: break;
        }
        channel->notify_vcpu.store(static_cast<u16>(vcpu.raw), std::memory_order_relaxed);
    }
    // The channel cannot be closed meanwhile: we hold the table's lock.
    if (channel->now() == State::pirq) irq::retarget_pirq(owner_, channel->pirq, v->sched.cpu);
    return {};
}

Result<> Table::status(Port port, evtchn_status& out) {
    Channel* channel = find(port);
    if (channel == nullptr) return fail(XEN_EINVAL);
    IrqGuard guard(channel->lock);
    out.vcpu = channel->notify_vcpu.load(std::memory_order_relaxed);
    switch (channel->now()) {
        case State::free:
        case State::reserved:
            out.status = EVTCHNSTAT_closed;
            out.vcpu = 0;
            break;
        case State::unbound:
            out.status = EVTCHNSTAT_unbound;
            out.u.unbound.dom = channel->remote.raw;
            break;
        case State::interdomain:
            out.status = EVTCHNSTAT_interdomain;
            out.u.interdomain.dom = channel->peer.table->owner().id.raw;
            out.u.interdomain.port = channel->peer.channel->port;
            break;
        case State::pirq:
            out.status = EVTCHNSTAT_pirq;
            out.u.pirq = channel->pirq.raw;
            break;
        case State::virq:
            out.status = EVTCHNSTAT_virq;
            out.u.virq = channel->virq;
            break;
        case State::ipi: out.status = EVTCHNSTAT_ipi; break;
    }
    return {};
}

u32 Table::ports_in_use() {
    Guard guard(lock_);
    return used_;
}

// --- the whole table -----------------------------------------------------------------------------------------------------------

void Table::close_ports() {
    for_each_channel([this](const Channel& channel) {
        if (channel.port % channels_per_bucket == 0) port::preemption_point();
        const State state = channel.now();
        if (state != State::free && state != State::reserved) (void)close(Port(channel.port));
    });
}

// No port is in use: nobody is looking at words or queues.
void Table::destroy_fifo() {
    Fifo* f = fifo_.exchange(nullptr, std::memory_order_relaxed);
    if (f == nullptr) return;
    f->~Fifo();
    heap_release(f, sizeof(Fifo));
}

Result<> Table::reset() {
    close_ports();
    Guard guard(lock_);
    if (used_ != 0) return fail(XEN_EAGAIN);
    destroy_fifo();
    return {};
}

void Table::close_all() {
    {
        Guard guard(lock_);
        closed_ = true;
    }
    close_ports();
    Guard guard(lock_);
    XYLEM_BUG_ON(used_ != 0);
    destroy_fifo();
}

// What was pending or masked stays so: words get it as soon as they exist.
void Table::migrate_to_fifo(Fifo& f) {
    for_each_channel([&](Channel& channel) {
        const u32 port = channel.port;
        if (port == 0 || port >= two_level_ports || channel.now() == State::free) return;
        DomainRef keep;
        BothEnds ends(channel, keep);  // who raised it in the old way is done; from now on it is raised in the new way
        const bool pending = test_and_clear(owner_.shared->evtchn_pending[port / 64], port % 64);
        const bool masked = test(owner_.shared->evtchn_mask[port / 64], port % 64);
        f.keep_early(channel, static_cast<u8>((pending ? Channel::early_pending : 0) | (masked ? Channel::early_masked : 0)));
    });
}

Result<> Table::init_control(VcpuId vcpu, Gfn gfn, u32 offset) {
    if (owner_.vcpu(vcpu) == nullptr) return fail(XEN_ENOENT);
    WritablePage page = TRY(WritablePage::get(owner_, gfn));
    Guard guard(lock_);
    if (closed_) return fail(XEN_EINVAL);
    if (Fifo* f = fifo()) return f->add_control_block(vcpu, std::move(page), offset);
    void* memory = heap_allocate(sizeof(Fifo));
    if (memory == nullptr) return fail(XEN_ENOMEM);
    Fifo* f = ::new (memory) Fifo;
    if (Result<> added = f->add_control_block(vcpu, std::move(page), offset); !added) {
        f->~Fifo();
        heap_release(f, sizeof(Fifo));
        return added;
    }
    fifo_.store(f, std::memory_order_release);
    migrate_to_fifo(*f);
    return {};
}

Result<> Table::expand_array(Gfn gfn) {
    if (!uses_fifo()) return fail(XEN_EOPNOTSUPP);
    WritablePage page = TRY(WritablePage::get(owner_, gfn));
    Guard guard(lock_);
    Fifo* f = fifo();
    if (f == nullptr) return fail(XEN_EOPNOTSUPP);
    const u32 first = TRY(f->add_page(std::move(page)));
    for (u32 port = first; port < first + Fifo::words_per_page; ++port) {
        Channel* channel = find(Port(port));
        if (channel == nullptr) break;
        IrqGuard g(channel->lock);
        if (channel->now() != State::free) f->settle_early(owner_, *channel);
    }
    return {};
}

// --- tests ---------------------------------------------------------------------------------------------------------------------

bool Table::channel_is_consistent(Channel& channel, bool guest_wrote_words) {
    switch (channel.now()) {
        case State::free: return channel.peer.channel == nullptr && (guest_wrote_words || !channel_pending(channel));
        case State::reserved: return channel.port == 0;
        case State::interdomain: {
            const Channel& other = *channel.peer.channel;
            return channel.peer.table->find(Port(other.port)) == &other && other.now() == State::interdomain &&
                   other.peer.table == this && other.peer.channel == &channel;
        }
        case State::virq: {
            const VcpuId vcpu(vcpu_virq_index(channel.virq) < 0 ? 0u : u32{channel.notify_vcpu.load()});
            return channel.virq < virqs && virq_slot(channel.virq, vcpu)->load() == channel.port;
        }
        case State::unbound:
        case State::pirq:
        case State::ipi: return owner_.vcpu(VcpuId(channel.notify_vcpu.load())) != nullptr;
    }
    return false;
}

bool Table::is_consistent(bool guest_wrote_words) {
    Guard guard(lock_);
    u32 in_use = 0;
    bool well = true;
    const u32 first_free = lowest_free_;
    for_each_channel([&](Channel& channel) {
        const bool free = channel.now() == State::free;
        if (!free && channel.port != 0) ++in_use;
        if (channel.lock.is_locked() || !channel_is_consistent(channel, guest_wrote_words) || (free && channel.port < first_free))
            well = false;
    });
    return well && in_use == used_;
}

}  // namespace xylem::evtchn
