// SPDX-License-Identifier: MIT
// One-shot timers, kept per physical CPU.
#pragma once

#include "base/types.hpp"

namespace xylem {

// Embed one in the object it belongs to. The handler runs on the timer's CPU in interrupt context, interrupts off, no locks
// held; it may set the timer again.
struct Timer {
    using Handler = void (*)(void* context);
    Handler handler = nullptr;
    void* context = nullptr;
    Nanos deadline = never;
    CpuId cpu{0};
    u32 heap_index = 0;  // 1-based position in the CPU's heap; 0 = not armed (guarded by that CPU's timer lock)
};

// Arms (or moves) a timer; a deadline in the past fires at once. Any context.
void timer_set(Timer& timer, Nanos deadline);
// After this returns the handler is not running and will not run, unless called from the handler itself.
void timer_cancel(Timer& timer);
// Moves an armed timer to another CPU's queue.
void timer_migrate(Timer& timer, CpuId cpu);
// The timer interrupt of this CPU: runs what is due and arms the next.
void timers_run();

}  // namespace xylem
