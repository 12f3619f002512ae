// SPDX-License-Identifier: MIT
// Locks that spin. `Guard` for data touched only by hypercalls; `IrqGuard` for data an interrupt handler touches too.
// Nothing may block, yield or copy to or from a guest while it holds one.
#pragma once

#include <atomic>

#include "base/sync/annotations.hpp"
#include "base/types.hpp"
#include "cpu/irqflags.hpp"

namespace xylem {

// Fair (ticket) lock of four bytes. Zero-initialised = free.
class XYLEM_CAPABILITY("spinlock") Spinlock {
   public:
    constexpr Spinlock() = default;
    Spinlock(const Spinlock&) = delete;
    Spinlock& operator=(const Spinlock&) = delete;

    void lock() XYLEM_ACQUIRE() {
        const u16 mine = next_.fetch_add(1, std::memory_order_relaxed);
        while (serving_.load(std::memory_order_acquire) != mine) cpu::relax();
    }
    void unlock() XYLEM_RELEASE() {
        serving_.store(static_cast<u16>(serving_.load(std::memory_order_relaxed) + 1), std::memory_order_release);
    }
    bool is_locked() const { return next_.load(std::memory_order_relaxed) != serving_.load(std::memory_order_relaxed); }

   private:
    std::atomic<u16> next_{0};
    std::atomic<u16> serving_{0};
};

class XYLEM_SCOPED Guard {
   public:
    explicit Guard(Spinlock& lock) XYLEM_ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
    ~Guard() XYLEM_RELEASE() { lock_.unlock(); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    Spinlock& lock_;
};

class XYLEM_SCOPED IrqGuard {
   public:
    explicit IrqGuard(Spinlock& lock) XYLEM_ACQUIRE(lock) : flags_(cpu::irq_save()), lock_(lock) { lock_.lock(); }
    ~IrqGuard() XYLEM_RELEASE() {
        lock_.unlock();
        cpu::irq_restore(flags_);
    }
    IrqGuard(const IrqGuard&) = delete;
    IrqGuard& operator=(const IrqGuard&) = delete;

   private:
    u64 flags_;
    Spinlock& lock_;
};

}  // namespace xylem
