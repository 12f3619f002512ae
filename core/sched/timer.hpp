// SPDX-License-Identifier: MIT
// One-shot timers, kept per physical CPU.
#pragma once

#include "base/text/format.hpp"
#include "base/types.hpp"

namespace xylem {

// Embed one in the object it belongs to. The handler runs on the timer's CPU in interrupt context, interrupts off, no locks
// held; it may set the timer again.
struct Timer {
    using Handler = void (*)(void* context);
    Handler handler = nullptr;
    void* context = nullptr;
    Nanos deadline = never;
    CpuId cpu{0};  // whose queue; changes under that queue's lock

    // Place in the CPU's pairing heap (guarded by that CPU's timer lock).
    Timer* child = nullptr;     // first of the later timers below this one
    Timer* sibling = nullptr;   // next below the same parent
    Timer* previous = nullptr;  // sibling before, or the parent for a first child
    bool armed = false;
};

// Arms (or moves) a timer; a deadline in the past fires at once; `never` disarms. Any context; takes the timer lock, which is
// innermost: callers may hold any other lock.
void timer_set(Timer& timer, Nanos deadline);
// The same, on the queue of the CPU that executes this if its handler does not just run on another.
void timer_set_here(Timer& timer, Nanos deadline);
// After this returns the handler is not running and will not run, unless called from the handler itself. The caller holds no
// lock that the handler takes.
void timer_cancel(Timer& timer);
// The timer interrupt of this CPU: runs what is due and arms the next. Interrupts off.
void timers_run();
// This CPU's queue was changed by another CPU (CpuWork::timers): arms the hardware anew. Interrupts off.
void timers_reprogram();
// Debug key 'a'.
void timers_dump(text::Sink& out);

}  // namespace xylem
