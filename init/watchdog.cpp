// SPDX-License-Identifier: MIT
#include "init/watchdog.hpp"

#include <array>
#include <atomic>

#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/entry/setup.hpp"
#include "arch/x86/irqchip/local_apic.hpp"
#include "arch/x86/time/clock.hpp"
#include "base/log.hpp"
#include "base/panic.hpp"
#include "core/port/machine.hpp"
#include "core/sched/timer.hpp"

namespace xylem::watchdog {
namespace {

constexpr Nanos second = 1'000'000'000;

struct Watcher {
    Timer timer{};
    std::atomic<u32> beats{0};
    // Only this CPU's handler uses the rest: what it saw of the next CPU, and when.
    u32 seen = 0;
    Nanos seen_at = 0;
};
constinit std::array<Watcher, max_cpus> watchers{};
constinit std::atomic<u32> suspect{~u32{0}};
constinit Nanos patience = 0;

// Gives it the chance to say where it is; its report ends the machine.
[[noreturn]] void report(CpuId hung) {
    suspect.store(hung.raw, std::memory_order_release);
    irqchip::local_apic.send_nmi(cpu_by_id(hung)->apic_id);
    time::wait(second / 2);
    panic("watchdog: CPU {} took no timer interrupt for {} s, and no NMI", hung, patience / second);
}

void beat(void* context) {
    const u32 self = static_cast<u32>(reinterpret_cast<u64>(context));
    Watcher& mine = watchers[self];
    mine.beats.fetch_add(1, std::memory_order_relaxed);
    const u32 next = (self + 1) % port::online_cpus();
    const u32 beats = watchers[next].beats.load(std::memory_order_relaxed);
    const Nanos now = time::now();
    if (beats != mine.seen) {
        mine.seen = beats;
        mine.seen_at = now;
    } else if (now - mine.seen_at > patience) {
        report(CpuId(next));
    }
    timer_set(mine.timer, now + second);
}

}  // namespace

void start(const init::Options& options) {
    if (options.watchdog == init::Watchdog::off) return;
    if (port::online_cpus() < 2) return log::warning("watchdog: needs a second CPU that watches; it is off");
    patience = static_cast<Nanos>(options.watchdog_timeout) * second;
    const Nanos now = time::now();
    for (u32 i = 0; i < port::online_cpus(); ++i) {
        Watcher& w = watchers[i];
        w.seen_at = now;
        w.timer.handler = beat;
        w.timer.context = reinterpret_cast<void*>(u64{i});
        w.timer.cpu = CpuId(i);
        timer_set(w.timer, now + second);
    }
    log::info("watchdog: {} CPUs watch each other, {} s", port::online_cpus(), options.watchdog_timeout);
}

bool asks(CpuId cpu) {
    return suspect.load(std::memory_order_acquire) == cpu.raw;
}

}  // namespace xylem::watchdog
