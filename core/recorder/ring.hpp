// SPDX-License-Identifier: MIT
// What a CPU did last: a ring of small events, always on. arch/x86/entry/entry.S writes hypercalls into it by itself.
#pragma once

#include <array>
#include <atomic>
#include <span>

#include "base/types.hpp"

namespace xylem::recorder {

enum class Kind : u8 {
    hypercall = 0,  // low: its number; value: its first argument
    multicall = 1,  // the same of a call inside a multicall
    trap = 2,       // detail: vector; low: rip; value: the address of a page fault, else the error code
    interrupt = 3,  // detail: vector; low: rip; value: TSC
    run = 4,        // low: domain << 16 | vCPU that the CPU switches to; value: TSC
    stop = 5,       // the hypervisor panics; value: TSC
};

struct Event {
    static constexpr unsigned kind_shift = 56;
    static constexpr unsigned detail_shift = 48;

    u64 what = 0;  // kind, 8 bits of detail, 48 bits of low
    u64 value = 0;

    static constexpr Event make(Kind kind, u8 detail, u64 low, u64 value) {
        return {u64{static_cast<u8>(kind)} << kind_shift | u64{detail} << detail_shift | (low << 16 >> 16), value};
    }
    static constexpr Event run(DomId domain, VcpuId vcpu, u64 tsc) {
        return make(Kind::run, 0, u64{domain.raw} << 16 | (vcpu.raw & 0xffff), tsc);
    }
    constexpr Kind kind() const { return static_cast<Kind>(what >> kind_shift); }
    constexpr u8 detail() const { return static_cast<u8>(what >> detail_shift); }
    constexpr u64 low() const { return what << 16 >> 16; }
    constexpr u64 address() const { return static_cast<u64>(static_cast<i64>(what << 16) >> 16); }  // `low` made canonical
    constexpr bool has_time() const { return kind() == Kind::interrupt || kind() == Kind::run || kind() == Kind::stop; }
    constexpr bool operator==(const Event&) const = default;
};
static_assert(sizeof(Event) == 16);

// One CPU writes; others may read meanwhile and see the newest events half written.
struct Ring {
    static constexpr usize capacity = 2048;

    std::atomic<u64> written{0};  // bytes since start; also moved on by assembly. No lock prefix: only its CPU writes
    u64 unused[7]{};
    std::array<Event, capacity> events{};

    // What interrupts this in the middle may lose its events.
    void record(Event e) {
        const u64 at = written.load(std::memory_order_relaxed);
        written.store(at + sizeof(Event), std::memory_order_relaxed);
        events[at / sizeof(Event) % capacity] = e;
    }
};
static_assert(std::atomic<u64>::is_always_lock_free);

// Copies the newest events, the oldest of them first. Any content of the ring will do: it may come from a crashed machine.
std::span<const Event> newest(const Ring& ring, std::span<Event> room);

// The newest time in the ring; 0: none.
u64 newest_time(const Ring& ring);

}  // namespace xylem::recorder
