// SPDX-License-Identifier: MIT
// One event channel: the local end that a port number of a domain names.
#pragma once

#include <atomic>

#include "abi/xen.hpp"
#include "base/sync/spinlock.hpp"

namespace xylem::evtchn {

class Table;
struct Channel;

// `reserved`: being made, or port 0, which is never used.
enum class State : u8 { free, reserved, unbound, interdomain, pirq, virq, ipi };

inline constexpr u32 two_level_ports = 4096;
inline constexpr u32 fifo_ports = 1u << EVTCHN_FIFO_LINK_BITS;
inline constexpr u32 virqs = NR_VIRQS;

// Of interdomain channels: both ends point at each other; linking and unlinking take both ends' locks.
struct Peer {
    Table* table;
    Channel* channel;
};

// `lock` guards the state and what belongs to it. A free channel is taken into use only with the table's lock held too.
// Whoever raises an interdomain channel from the other end holds the *other* end's lock only, so notify_vcpu and priority may
// change meanwhile, and what FIFO queues need is guarded by the queues' own lock.
struct Channel {
    Spinlock lock;
    std::atomic<State> state{State::free};
    std::atomic<u8> priority{EVTCHN_FIFO_PRIORITY_DEFAULT};
    u8 queued_priority = EVTCHN_FIFO_PRIORITY_DEFAULT;  // the queue it was put into last (Fifo's lock)
    u8 early = 0;                                       // what a word that does not exist yet has to hold (Fifo's lock)
    std::atomic<u16> notify_vcpu{0};
    u16 queued_vcpu = 0;  // Fifo's lock
    u32 port = 0;         // constant
    union {
        Peer peer;     // interdomain
        DomId remote;  // unbound: who may bind it
        Pirq pirq;     // pirq
        u32 virq;      // virq
    };

    Channel() : peer{} {}
    State now() const { return state.load(std::memory_order_relaxed); }
    void become(State s) { state.store(s, std::memory_order_relaxed); }

    static constexpr u8 early_pending = 1;
    static constexpr u8 early_masked = 2;
};
static_assert(sizeof(Channel) == 32);

}  // namespace xylem::evtchn
