// SPDX-License-Identifier: MIT
// Who owns which interrupt vector. One vector space for all CPUs; a higher number is a higher priority to the local APIC.
#pragma once

#include <array>
#include <optional>

#include "base/sync/spinlock.hpp"
#include "base/types.hpp"

namespace xylem::irqchip {

// Exceptions 0x00..0x1f; the 8259s are remapped to 0x20..0x2f and masked, only their spurious interrupts can arrive.
inline constexpr u8 legacy_pic_vector = 0x20;
inline constexpr u8 spurious_pic_master = legacy_pic_vector + 7;
inline constexpr u8 spurious_pic_slave = legacy_pic_vector + 15;

inline constexpr u8 first_device_vector = 0x30;
inline constexpr u8 last_device_vector = 0xef;

// A direct guest entry (int 0x80, ABI.md 2.2) must never be a device's vector.
inline constexpr u8 guest_syscall_vector = 0x80;

inline constexpr u8 ipi_event_check_vector = 0xf8;    // look at the run queue and pending events
inline constexpr u8 ipi_call_function_vector = 0xf9;  // run a function, TLB flushes included
inline constexpr u8 ipi_tlb_flush_vector = 0xfa;
inline constexpr u8 timer_vector = 0xfb;
inline constexpr u8 thermal_vector = 0xfc;
inline constexpr u8 error_vector = 0xfe;
inline constexpr u8 spurious_vector = 0xff;

// Hands out device vectors. They spread over the priority classes (vector >> 4), because an APIC of old holds at most two
// interrupts per class.
class VectorAllocator {
   public:
    constexpr VectorAllocator() = default;

    // A free vector, or nothing when all are taken.
    std::optional<u8> allocate() {
        IrqGuard guard(lock_);
        for (unsigned tries = 0; tries < device_vectors; ++tries) {
            const u8 vector = nth(next_);
            next_ = (next_ + 1) % device_vectors;
            if (vector == guest_syscall_vector || used_[vector]) continue;
            used_[vector] = true;
            return vector;
        }
        return std::nullopt;
    }

    // `count` (a power of two <= 32) consecutive vectors, the first divisible by `count`: what multi-message MSI needs.
    std::optional<u8> allocate_block(unsigned count) {
        IrqGuard guard(lock_);
        for (unsigned first = align_up(unsigned{first_device_vector}, count); first + count <= last_device_vector + 1U;
             first += count) {
            if (!all_free(first, count)) continue;
            for (unsigned i = 0; i < count; ++i) used_[first + i] = true;
            return static_cast<u8>(first);
        }
        return std::nullopt;
    }

    // Only for a vector that allocate() gave and that nothing routes to any more.
    void release(u8 vector) {
        IrqGuard guard(lock_);
        used_[vector] = false;
    }

   private:
    static constexpr unsigned device_vectors = last_device_vector - first_device_vector + 1;
    static constexpr unsigned classes = device_vectors / 16;
    static_assert(device_vectors % 16 == 0);

    static constexpr u8 nth(unsigned n) { return static_cast<u8>(first_device_vector + n % classes * 16 + n / classes); }

    bool all_free(unsigned first, unsigned count) const XYLEM_REQUIRES(lock_) {
        for (unsigned i = 0; i < count; ++i)
            if (first + i == guest_syscall_vector || used_[first + i]) return false;
        return true;
    }

    Spinlock lock_;
    unsigned next_ XYLEM_GUARDED_BY(lock_) = 0;
    std::array<bool, 256> used_ XYLEM_GUARDED_BY(lock_){};
};

}  // namespace xylem::irqchip
