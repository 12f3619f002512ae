// SPDX-License-Identifier: MIT
#include "core/evtchn/fifo.hpp"

#include "core/evtchn/upcall.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem::evtchn {
namespace {

constexpr event_word_t pending_bit = 1u << EVTCHN_FIFO_PENDING;
constexpr event_word_t masked_bit = 1u << EVTCHN_FIFO_MASKED;
constexpr event_word_t linked_bit = 1u << EVTCHN_FIFO_LINKED;
constexpr event_word_t busy_bit = 1u << EVTCHN_FIFO_BUSY;
constexpr event_word_t link_mask = EVTCHN_FIFO_LINK_MASK;

bool replace(event_word_t& word, event_word_t& expected, event_word_t wanted) {
    return __atomic_compare_exchange_n(&word, &expected, wanted, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

}  // namespace

Result<> Fifo::add_control_block(VcpuId vcpu, WritablePage&& page, u32 offset) {
    if (offset > page_size - sizeof(evtchn_fifo_control_block) || offset % 8 != 0) return fail(XEN_EINVAL);
    if (queues_[vcpu.raw]) return fail(XEN_EINVAL);
    OwnPtr<Queues> queues = make_own<Queues>();
    if (!queues) return fail(XEN_ENOMEM);
    queues->page = std::move(page);
    queues->control = reinterpret_cast<evtchn_fifo_control_block*>(static_cast<u8*>(queues->page.address()) + offset);
    IrqGuard guard(lock_);
    queues_[vcpu.raw] = std::move(queues);
    return {};
}

Result<u32> Fifo::add_page(WritablePage&& page) {
    if (page_count_ == max_pages) return fail(XEN_ENOSPC);
    pages_[page_count_] = std::move(page);
    auto* words = static_cast<event_word_t*>(pages_[page_count_].address());
    IrqGuard guard(lock_);  // see keep_unless_word()
    words_[page_count_].store(words, std::memory_order_release);
    return page_count_++ * words_per_page;
}

// Links the last word of a queue to the next port. False: it has left the queue. The guest may only clear PENDING, MASKED,
// LINKED, or set MASKED meanwhile; BUSY keeps it from clearing MASKED, so few attempts are enough for an honest one.
bool Fifo::set_link(event_word_t& tail, u32 port) {
    event_word_t w = __atomic_load_n(&tail, __ATOMIC_RELAXED);
    if ((w & linked_bit) == 0) return false;
    if (replace(tail, w, (w & ~(busy_bit | link_mask)) | port)) [[likely]]
        return true;
    w = __atomic_or_fetch(&tail, busy_bit, __ATOMIC_SEQ_CST);
    for (unsigned attempt = 0; attempt < 4; ++attempt) {
        if ((w & linked_bit) == 0) {
            __atomic_fetch_and(&tail, ~busy_bit, __ATOMIC_SEQ_CST);
            return false;
        }
        if (replace(tail, w, (w & ~(busy_bit | link_mask)) | port)) return true;
    }
    // A guest that keeps writing breaks the protocol: the event counts as linked, and is lost to that guest.
    __atomic_fetch_and(&tail, ~busy_bit, __ATOMIC_SEQ_CST);
    return true;
}

// True where the queue was empty: the guest has to be told.
bool Fifo::append(Queues& queues, Channel& channel, unsigned priority) {
    const u32 port = channel.port;
    u32& tail = queues.tail[priority];
    // A tail that is the port itself: the queue is empty, it only looks linked because we have just set the bit.
    const bool linked = tail != 0 && tail != port && set_link(*word(tail), port);
    if (!linked) __atomic_store_n(&queues.control->head[priority], port, __ATOMIC_RELEASE);
    tail = port;
    return !linked;
}

void Fifo::link(Domain& domain, Channel& channel, event_word_t& w) {
    const u16 vcpu = channel.notify_vcpu.load(std::memory_order_relaxed);
    const u8 priority = channel.priority.load(std::memory_order_relaxed);
    evtchn_fifo_control_block* control = nullptr;
    {
        Guard guard(lock_);
        Queues* queues = queues_[vcpu].get();
        if (queues == nullptr) return;  // stays pending; its guest has not prepared the vCPU for events
        if (test_and_set(w, EVTCHN_FIFO_LINKED)) return;
        if (channel.queued_vcpu != vcpu || channel.queued_priority != priority) [[unlikely]] {
            // It ended the queue it was in before. As it is not linked there any more, that queue is empty.
            Queues* former = queues_[channel.queued_vcpu].get();
            if (former != nullptr && former->tail[channel.queued_priority] == channel.port)
                former->tail[channel.queued_priority] = 0;
            channel.queued_vcpu = vcpu;
            channel.queued_priority = priority;
        }
        if (!append(*queues, channel, priority)) return;
        control = queues->control;
    }
    if (!test_and_set(control->ready, priority)) raise_upcall(*domain.vcpus[vcpu]);
}

void Fifo::raise(Domain& domain, Channel& channel) {
    event_word_t* w = word(channel.port);
    if (w == nullptr) [[unlikely]] {
        if (keep_unless_word(channel, Channel::early_pending)) return;
        w = word(channel.port);
    }
    const bool was_pending = test_and_set(*w, EVTCHN_FIFO_PENDING);
    if ((__atomic_load_n(w, __ATOMIC_RELAXED) & (masked_bit | linked_bit)) == 0) link(domain, channel, *w);
    if (!was_pending) sched::wake_pollers(domain, Port(channel.port));
}

void Fifo::unmask(Domain& domain, Channel& channel) {
    event_word_t* w = word(channel.port);
    if (w == nullptr) return;
    __atomic_fetch_and(w, ~masked_bit, __ATOMIC_SEQ_CST);
    if ((__atomic_load_n(w, __ATOMIC_RELAXED) & pending_bit) != 0) raise(domain, channel);
}

void Fifo::clear_pending(Channel& channel) {
    {
        IrqGuard guard(lock_);
        channel.early = 0;
    }
    if (event_word_t* w = word(channel.port)) __atomic_fetch_and(w, ~pending_bit, __ATOMIC_SEQ_CST);
}

bool Fifo::is_pending(Channel& channel) {
    if (const event_word_t* w = word(channel.port)) return test(*w, EVTCHN_FIFO_PENDING);
    IrqGuard guard(lock_);
    return (channel.early & Channel::early_pending) != 0;
}

bool Fifo::is_masked(Channel& channel) {
    const event_word_t* w = word(channel.port);
    return w == nullptr || test(*w, EVTCHN_FIFO_MASKED);
}

// False where the word exists by now. Its page is published with the lock held, so nothing is kept too late.
bool Fifo::keep_unless_word(Channel& channel, u8 bits) {
    IrqGuard guard(lock_);
    if (word(channel.port) != nullptr) return false;
    channel.early |= bits;
    return true;
}

void Fifo::keep_early(Channel& channel, u8 bits) {
    IrqGuard guard(lock_);
    channel.early |= bits;
}

void Fifo::settle_early(Domain& domain, Channel& channel) {
    u8 early = 0;
    {
        IrqGuard guard(lock_);
        early = std::exchange(channel.early, u8{0});
    }
    if ((early & Channel::early_masked) != 0) __atomic_fetch_or(word(channel.port), masked_bit, __ATOMIC_SEQ_CST);
    if ((early & Channel::early_pending) != 0) raise(domain, channel);
}

}  // namespace xylem::evtchn
