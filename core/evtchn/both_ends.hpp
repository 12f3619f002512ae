// SPDX-License-Identifier: MIT
#pragma once

#include "core/evtchn/table.hpp"
#include "cpu/irqflags.hpp"

namespace xylem::evtchn {

// A channel and, where it is interdomain, its peer: locked, interrupts off, as long as this lives. With both locks held nobody
// is raising the channel. `keep` may be given a reference on the peer's domain: the caller drops it without any lock.
class Table::BothEnds {
   public:
    BothEnds(Channel& channel, DomainRef& keep) XYLEM_NO_ANALYSIS : channel_(channel) {
        for (;;) {
            flags_ = cpu::irq_save();
            channel_.lock.lock();
            if (channel_.now() != State::interdomain) return;
            const Peer peer = channel_.peer;
            if (peer.channel > &channel_) {
                peer.channel->lock.lock();
                peer_ = peer;
                return;
            }
            // Bound to us, so its domain is not gone yet; the reference keeps the memory while we hold neither lock.
            DomainRef other = DomainRef::share(peer.table->owner());
            channel_.lock.unlock();
            peer.channel->lock.lock();
            channel_.lock.lock();
            const bool still = channel_.now() == State::interdomain && channel_.peer.channel == peer.channel;
            if (still) {
                peer_ = peer;
                keep = std::move(other);
                return;
            }
            channel_.lock.unlock();
            peer.channel->lock.unlock();
            cpu::irq_restore(flags_);
        }
    }
    ~BothEnds() XYLEM_NO_ANALYSIS {
        if (peer_.channel != nullptr) peer_.channel->lock.unlock();
        channel_.lock.unlock();
        cpu::irq_restore(flags_);
    }
    BothEnds(const BothEnds&) = delete;
    BothEnds& operator=(const BothEnds&) = delete;

    const Peer& peer() const { return peer_; }

   private:
    Channel& channel_;
    Peer peer_{};
    u64 flags_ = 0;
};

}  // namespace xylem::evtchn
