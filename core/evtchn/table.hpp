// SPDX-License-Identifier: MIT
// A domain's event channels.
//
// Locks, outermost first:
//   1. Table::lock_   which ports are in use, the FIFO ABI's set-up. Hypercalls only, interrupts on. Never two of them.
//   2. (interrupt lines' locks, see core/irq/line.hpp)
//   3. Channel::lock  interrupts off. Two of them, the ends of an interdomain channel: lower address first.
//   4. Fifo::lock_    then scheduler locks, by kick().
// Interrupt handlers raise events: they take 2 to 4.
//
// An interdomain channel cannot lose its peer while its own lock is held: unlinking takes both ends' locks, and a table is freed
// only after its ports were closed. So send() takes one lock. Memory of a port that was once valid lives as long as the table.
#pragma once

#include <array>

#include "base/text/format.hpp"
#include "core/domain/domain.hpp"
#include "core/evtchn/channel.hpp"
#include "core/evtchn/fifo.hpp"

namespace xylem::evtchn {

class Table {
   public:
    // `max_channels`: ports are below it; port 0 counts, too.
    Table(Domain& owner, u32 max_channels) : owner_(owner), max_channels_(std::min(max_channels, fifo_ports)) {}
    // All ports are closed.
    ~Table();
    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;

    Domain& owner() { return owner_; }

    // --- making ports. All: XEN_ENOSPC no port left, XEN_ENOMEM, XEN_EINVAL the domain is dying. Interrupts on.
    Result<Port> alloc_unbound(DomId remote);
    // XEN_EINVAL: the remote port does not wait for us. The new port is pending: something may have been sent before.
    Result<Port> bind_interdomain(Table& remote, Port remote_port);
    // XEN_EINVAL: no such VIRQ, or a global one elsewhere than vCPU 0; XEN_ENOENT: no such vCPU; XEN_EEXIST.
    Result<Port> bind_virq(u32 virq, VcpuId vcpu);
    // XEN_ENOENT: no such vCPU.
    Result<Port> bind_ipi(VcpuId vcpu);
    // Errors of irq::bind_pirq().
    Result<Port> bind_pirq(Pirq pirq, bool will_share);

    // --- one port. All: XEN_EINVAL for a port that does not exist or is not in use, if nothing else is said.
    Result<> close(Port port);
    // Interdomain and IPI; nothing for unbound ones. Interrupts on or off.
    Result<> send(Port port);
    // XEN_ENOENT: no such vCPU. Per-vCPU VIRQs and IPIs stay where they are: XEN_EINVAL.
    Result<> bind_vcpu(Port port, VcpuId vcpu);
    Result<> unmask(Port port);
    Result<> set_priority(Port port, u32 priority);  // XEN_ENOSYS in the 2-level ABI
    // Fills in everything but the question. Ports that are not in use are closed.
    Result<> status(Port port, evtchn_status& out);
    Result<bool> is_pending(Port port);

    // --- the whole table
    // Closes all ports; XEN_EAGAIN where some were opened meanwhile. Back to the 2-level ABI. May yield.
    Result<> reset();
    // The domain dies: no new ports, then closes all. May yield; calling it again does no harm. The domain's vCPUs may be
    // removed from the scheduler afterwards, not before.
    void close_all();
    Result<> init_control(VcpuId vcpu, Gfn gfn, u32 offset);  // XEN_ENOENT, XEN_EINVAL, XEN_ENOMEM
    Result<> expand_array(Gfn gfn);                           // XEN_EOPNOTSUPP without the FIFO ABI, XEN_ENOSPC, XEN_EINVAL
    u32 ports_in_use();
    bool uses_fifo() const { return fifo_.load(std::memory_order_relaxed) != nullptr; }

    // --- interrupt sources. Any context. Nothing happens where the guest has not bound it.
    void raise_virq(u32 virq, VcpuId vcpu);
    void raise_global_virq(u32 virq);
    // False: the port is not the pirq's (any more).
    bool raise_pirq(Port port, Pirq pirq);

    void dump(text::Sink& out);
    // Tests: every port's state agrees with its peer's and with the maps; where the guest's words are its own work, they are not
    // asked whether free ports are pending.
    bool is_consistent(bool guest_wrote_words = false);

   private:
    static constexpr u32 channels_per_bucket = page_size / sizeof(Channel);
    static constexpr u32 buckets_per_group = 256;
    static constexpr u32 groups = fifo_ports / channels_per_bucket / buckets_per_group;
    struct Bucket {
        std::array<Channel, channels_per_bucket> channels;
    };
    struct Group {
        std::array<std::atomic<Bucket*>, buckets_per_group> buckets{};
    };
    class BothEnds;

    // Published with release, never taken back: a port once valid stays valid.
    Channel* find(Port port) const {
        if (port.raw >= fifo_ports) [[unlikely]]
            return nullptr;
        const Group* group = groups_[port.raw / channels_per_bucket / buckets_per_group].load(std::memory_order_acquire);
        if (group == nullptr) [[unlikely]]
            return nullptr;
        Bucket* bucket = group->buckets[port.raw / channels_per_bucket % buckets_per_group].load(std::memory_order_acquire);
        if (bucket == nullptr) [[unlikely]]
            return nullptr;
        return &bucket->channels[port.raw % channels_per_bucket];
    }
    // Every channel that was ever made, in the order of the ports. `visit` may yield.
    template <class Visit>
    void for_each_channel(Visit&& visit) {
        for (const auto& slot : groups_) {
            Group* group = slot.load(std::memory_order_acquire);
            if (group == nullptr) continue;
            for (const auto& place : group->buckets)
                if (Bucket* bucket = place.load(std::memory_order_acquire); bucket != nullptr)
                    for (Channel& channel : bucket->channels) visit(channel);
        }
    }
    Fifo* fifo() const { return fifo_.load(std::memory_order_acquire); }

    Result<Channel*> allocate() XYLEM_REQUIRES(lock_);
    void give_back(Channel& channel) XYLEM_REQUIRES(lock_);
    void destroy_fifo() XYLEM_REQUIRES(lock_);
    Result<Channel*> make_channel(u32 port) XYLEM_REQUIRES(lock_);
    Result<> close_locked(Channel& channel, DomainRef& keep) XYLEM_REQUIRES(lock_);
    Result<> link(Channel& here, Table& remote, Channel& there) XYLEM_NO_ANALYSIS;
    void close_ports();
    bool channel_is_consistent(Channel& channel, bool guest_wrote_words);
    void migrate_to_fifo(Fifo& fifo) XYLEM_REQUIRES(lock_);

    // The channel stays in use meanwhile: its own or its peer's lock is held. Interrupts off.
    void raise(Channel& channel);
    void raise_two_level(Channel& channel);
    void unmask_two_level(Channel& channel);
    void clear_pending(Channel& channel);
    bool channel_pending(Channel& channel);
    std::atomic<u32>* virq_slot(u32 virq, VcpuId vcpu);

    Domain& owner_;
    std::atomic<Fifo*> fifo_{nullptr};  // owned; used with the lock of a channel in use, or with lock_
    std::array<std::atomic<Group*>, groups> groups_{};
    const u32 max_channels_;

    Spinlock lock_;
    u32 used_ XYLEM_GUARDED_BY(lock_) = 0;
    u32 lowest_free_ XYLEM_GUARDED_BY(lock_) = 1;  // all ports below are in use
    bool closed_ XYLEM_GUARDED_BY(lock_) = false;

    // The ports of VIRQs, 0 = none. Written with lock_; readers check the channel with its lock held.
    static constexpr u32 vcpu_virqs = 4;
    std::array<std::atomic<u32>, virqs> global_virqs_{};
    std::array<std::array<std::atomic<u32>, vcpu_virqs>, max_vcpus_per_domain> vcpu_virqs_{};
};

}  // namespace xylem::evtchn
