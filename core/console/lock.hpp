// SPDX-License-Identifier: MIT
// The console's lock. A panic breaks it: the CPU that held it may be the one that died, and the report must still come out.
#pragma once

#include <atomic>

#include "base/sync/spinlock.hpp"

namespace xylem::console {

class XYLEM_CAPABILITY("console lock") BreakableLock {
   public:
    constexpr BreakableLock() = default;

    // From now on nobody waits for the lock.
    void break_open() { broken_.store(true, std::memory_order_relaxed); }
    bool is_broken() const { return broken_.load(std::memory_order_relaxed); }

   private:
    friend class ConsoleGuard;
    Spinlock lock_;
    std::atomic<bool> broken_{false};
};

// Interrupts are off as long as it lives.
class XYLEM_SCOPED ConsoleGuard {
   public:
    explicit ConsoleGuard(BreakableLock& lock) XYLEM_ACQUIRE(lock) XYLEM_NO_ANALYSIS : flags_(cpu::irq_save()),
                                                                                       lock_(lock),
                                                                                       taken_(!lock.is_broken()) {
        if (taken_) lock_.lock_.lock();
    }
    ~ConsoleGuard() XYLEM_RELEASE() XYLEM_NO_ANALYSIS {
        if (taken_) lock_.lock_.unlock();
        cpu::irq_restore(flags_);
    }
    ConsoleGuard(const ConsoleGuard&) = delete;
    ConsoleGuard& operator=(const ConsoleGuard&) = delete;

   private:
    u64 flags_;
    BreakableLock& lock_;
    bool taken_;
};

}  // namespace xylem::console
