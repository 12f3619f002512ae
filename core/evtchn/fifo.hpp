// SPDX-License-Identifier: MIT
// The FIFO ABI of a domain: event words in pages of the guest, and per vCPU 16 queues of linked words [xen/event_channel.h].
//
// We append, the guest takes off. A queue's tail is ours alone; a tail whose word is no longer LINKED means that the queue is
// empty. The guest may do anything to the words: it can only lose its own events, and no loop here depends on what it writes.
#pragma once

#include <array>

#include "core/domain/domain.hpp"
#include "core/evtchn/channel.hpp"
#include "core/evtchn/guest_bits.hpp"

namespace xylem::evtchn {

class Fifo {
   public:
    static constexpr u32 words_per_page = page_size / sizeof(event_word_t);
    static constexpr u32 max_pages = fifo_ports / words_per_page;

    // A vCPU's control block. XEN_EINVAL: it has one already, or a bad place. The caller holds the table's lock.
    Result<> add_control_block(VcpuId vcpu, WritablePage&& page, u32 offset);
    // One more page of words; the port of the first. XEN_ENOSPC. The caller holds the table's lock.
    Result<u32> add_page(WritablePage&& page);

    // The word of a port; null where there is none yet.
    event_word_t* word(u32 port) const {
        event_word_t* page = words_[port / words_per_page % max_pages].load(std::memory_order_acquire);
        return page == nullptr ? nullptr : page + port % words_per_page;
    }
    u32 words() const { return page_count_ * words_per_page; }

    // Any context, interrupts off. The channel stays in use meanwhile.
    void raise(Domain& domain, Channel& channel);
    // As raise() and clear(), channel lock held.
    void unmask(Domain& domain, Channel& channel);
    void clear_pending(Channel& channel);
    bool is_pending(Channel& channel);
    bool is_masked(Channel& channel);
    // A closed channel that is still in a queue must not be used again.
    bool is_linked(u32 port) const {
        const event_word_t* w = word(port);
        return w != nullptr && test(*w, EVTCHN_FIFO_LINKED);
    }

    // What the channel brings along from the 2-level ABI, until its word exists.
    void keep_early(Channel& channel, u8 bits);
    // The channel's word exists now: gives it what was kept.
    void settle_early(Domain& domain, Channel& channel);

   private:
    struct Queues {
        WritablePage page;
        evtchn_fifo_control_block* control = nullptr;
        std::array<u32, EVTCHN_FIFO_MAX_QUEUES> tail{};  // 0: empty
    };

    void link(Domain& domain, Channel& channel, event_word_t& word);
    bool append(Queues& queues, Channel& channel, unsigned priority) XYLEM_REQUIRES(lock_);
    bool keep_unless_word(Channel& channel, u8 bits);
    static bool set_link(event_word_t& tail, u32 port);

    Spinlock lock_;  // queues' tails, Channel::queued_* and early; interrupts off; rank: inside channel locks
    u32 page_count_ = 0;
    std::array<std::atomic<event_word_t*>, max_pages> words_{};
    std::array<WritablePage, max_pages> pages_{};
    std::array<OwnPtr<Queues>, max_vcpus_per_domain> queues_{};
};

}  // namespace xylem::evtchn
