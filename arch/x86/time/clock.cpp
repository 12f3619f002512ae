// SPDX-License-Identifier: MIT
#include "arch/x86/time/clock.hpp"

#include <atomic>

#include "arch/x86/irqchip/local_apic.hpp"
#include "base/log.hpp"
#include "cpu/instructions.hpp"
#include "cpu/irqflags.hpp"

namespace xylem::time {

namespace {

constexpr Nanos first_window = 10'000'000;
constexpr Nanos refined_window = 50'000'000;

// The stamp in force. Written by one CPU at a time, read without locks: a reader tries again if `version` changed or is odd.
class SharedStamp {
   public:
    u32 version() const { return version_.load(std::memory_order_relaxed); }

    // What `use` makes of a consistent stamp.
    template <class F>
    auto with(F use) const {
        for (;;) {
            const u32 before = version_.load(std::memory_order_acquire);
            if ((before & 1) == 0) [[likely]] {
                const Stamp copy{tsc_.load(std::memory_order_relaxed), system_.load(std::memory_order_relaxed),
                                 unpack(scale_.load(std::memory_order_relaxed))};
                const auto result = use(copy);
                std::atomic_thread_fence(std::memory_order_acquire);
                if (version_.load(std::memory_order_relaxed) == before) [[likely]]
                    return result;
            }
            cpu::relax();
        }
    }

    // Interrupts off: a handler that asks for the time would wait for ever.
    void set(const Stamp& stamp) {
        const u32 next = version_.load(std::memory_order_relaxed) + 2;
        version_.store(next - 1, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_release);
        tsc_.store(stamp.tsc, std::memory_order_relaxed);
        system_.store(stamp.system, std::memory_order_relaxed);
        scale_.store(pack(stamp.scale), std::memory_order_relaxed);
        version_.store(next, std::memory_order_release);
    }

   private:
    static u64 pack(Scale s) { return u64{static_cast<u8>(s.shift)} << 32 | s.mul; }
    static Scale unpack(u64 v) { return {static_cast<u32>(v), static_cast<i8>(v >> 32)}; }

    std::atomic<u32> version_{0};
    std::atomic<u64> tsc_{0};
    std::atomic<Nanos> system_{0};
    std::atomic<u64> scale_{0};
};

struct Clock {
    SharedStamp stamp;
    // From here on only init(), refine() and correct() write, one at a time.
    std::atomic<u64> hertz{0};
    bool invariant = false;
    bool exact = false;  // the CPU told its frequency
    std::atomic<bool> in_step{true};
    PlatformTimer timer;
    Pair base;  // where measuring began; `ticks` counts on from there without wraps
    Nanos base_system = 0;
    Pair last;           // the newest reading
    Scale nanos_to_tsc;  // for arm_timer
    Scale nanos_to_apic;
    u64 apic_ticks = 0;  // counted while the TSC went apic_window
    u64 apic_window = 1;
};
constinit Clock clock;

u64 tsc_per_tick() {
    const TickRate rate = clock.timer.rate();
    return mul_div(clock.hertz.load(std::memory_order_relaxed) << 24, rate.denominator, rate.numerator);
}

// A TSC value and what `counter` told then: the tightest of a few readings, because an interruption between the two TSC values
// only makes one of them useless.
template <class F>
Pair read_beside_tsc(F counter) {
    constexpr unsigned tries = 6;
    Pair best;
    u64 best_width = ~u64{0};
    for (unsigned i = 0; i < tries; ++i) {
        const u64 before = cpu::rdtsc();
        const u64 ticks = counter();
        const u64 width = cpu::rdtsc() - before;
        if (width >= best_width) continue;
        best_width = width;
        best = {before + width / 2, ticks};
    }
    return best;
}

Pair read_pair() {
    return read_beside_tsc([] { return clock.timer.read(); });
}

// The APIC's timer counts down.
Pair read_apic() {
    return read_beside_tsc([] { return u64{~irqchip::local_apic.ticks_left()}; });
}

// A reading that knows the instant of a tick much better than the tick is long; ends after a few ticks.
Pair read_edge() {
    constexpr unsigned fewest = 8;
    constexpr unsigned most = 400;
    constexpr u64 ticks_enough = 4;
    const u64 first = clock.timer.read();
    TickEdge edge(tsc_per_tick(), first);
    for (unsigned i = 0; i < most; ++i) {
        const u64 before = cpu::rdtsc();
        const u64 passed = unwrapped(first, clock.timer.read(), clock.timer.bits(), 0);
        edge.add(before, first + passed, cpu::rdtsc());
        if (i >= fewest && passed >= ticks_enough) break;
    }
    return edge.result();
}

// Counts the timer's wraps since the last reading, which the TSC tells well enough.
Pair continued(Pair raw) {
    const u64 expected = mul_div(raw.tsc - clock.last.tsc, u64{1} << 24, tsc_per_tick());
    const u64 mask = clock.timer.bits() >= 64 ? ~u64{0} : (u64{1} << clock.timer.bits()) - 1;
    return {raw.tsc, clock.last.ticks + unwrapped(clock.last.ticks & mask, raw.ticks & mask, clock.timer.bits(), expected)};
}

u64 hertz_between(Pair from, Pair to) {
    return frequency(to.tsc - from.tsc, to.ticks - from.ticks, clock.timer.rate());
}

void set_hertz(u64 hertz) {
    clock.hertz.store(hertz, std::memory_order_relaxed);
    clock.nanos_to_tsc = inverse_scale_of(hertz);
    const u64 apic_hertz = mul_div(hertz, clock.apic_ticks, clock.apic_window);
    clock.nanos_to_apic = apic_hertz != 0 ? inverse_scale_of(apic_hertz) : Scale{};
}

// [SDM 2A, CPUID leaf 15H] 0 where the CPU does not tell the whole of it.
u64 told_frequency() {
    if (cpu::cpuid(0).a < 0x15) return 0;
    const cpu::CpuidRegs r = cpu::cpuid(0x15);
    if (r.a == 0 || r.b == 0 || r.c == 0) return 0;
    return mul_div(r.c, r.b, r.a);
}

bool read_invariance() {
    constexpr u32 leaf = 0x8000'0007;
    return cpu::cpuid(0x8000'0000).a >= leaf && (cpu::cpuid(leaf).d & (1U << 8)) != 0;
}

// Of the system time at `tsc`.
Nanos at_tsc(u64 tsc) {
    return clock.stamp.with([tsc](const Stamp& s) { return s.at(tsc); });
}

u64 difference(u64 a, u64 b) {
    return a > b ? a - b : b - a;
}

}  // namespace

void init(const acpi::PlatformInfo& info, std::optional<Source> wanted) {
    clock.timer.init(info, wanted);
    clock.invariant = read_invariance();

    // The TSC and the APIC's timer over one window.
    irqchip::local_apic.start_counting();
    const Pair start = read_pair();
    const Pair apic_start = read_apic();
    u64 passed = 0;
    while (static_cast<Nanos>(clock.timer.rate().to_nanos(passed)) < first_window) {
        cpu::relax();
        passed +=
            unwrapped((start.ticks + passed) & ((u64{1} << clock.timer.bits()) - 1), clock.timer.read(), clock.timer.bits(), 0);
    }
    Pair end = read_pair();
    const Pair apic_end = read_apic();
    irqchip::local_apic.stop_counting();
    clock.apic_ticks = apic_end.ticks - apic_start.ticks;
    clock.apic_window = apic_end.tsc - apic_start.tsc;
    end.ticks = start.ticks + unwrapped(start.ticks, end.ticks, clock.timer.bits(), passed);

    u64 hertz = hertz_between(start, end);
    const u64 told = told_frequency();
    if (told != 0 && difference(told, hertz) < hertz / 1000) {
        clock.exact = true;
        hertz = told;
    }
    set_hertz(hertz);

    const u64 flags = cpu::irq_save();
    clock.base = read_edge();
    clock.last = clock.base;
    clock.stamp.set({clock.base.tsc, 0, scale_of(hertz)});
    cpu::irq_restore(flags);
    log::info("Time: {} clock, {} bits; TSC {} kHz{}, APIC timer {} kHz.", name_of(clock.timer.source()), clock.timer.bits(),
              hertz / 1000, std::string_view(clock.exact ? " (as the CPU says)" : ""),
              mul_div(hertz, clock.apic_ticks, clock.apic_window) * 16 / 1000);
}

void refine() {
    while (now() < refined_window) cpu::relax();
    const u64 flags = cpu::irq_save();
    const Pair end = continued(read_edge());
    const u64 measured = hertz_between(clock.base, end);
    if (!clock.exact) set_hertz(measured);
    clock.last = end;
    const u64 tsc = cpu::rdtsc();
    // The first, coarser frequency led time astray by microseconds at most: go on from where it stands.
    const Nanos here = at_tsc(tsc);
    clock.stamp.set({tsc, here, scale_of(tsc_hertz())});
    clock.base_system = here - static_cast<Nanos>(scale_of(tsc_hertz()).apply(tsc - clock.base.tsc));
    cpu::irq_restore(flags);
    log::info("Time: TSC {} Hz (measured {} Hz over {} ms).", tsc_hertz(), measured,
              clock.timer.rate().to_nanos(end.ticks - clock.base.ticks) / 1'000'000);
}

void correct() {
    const u64 flags = cpu::irq_save();
    const Pair reading = continued(read_pair());
    u64 hertz = tsc_hertz();
    if (reading.ticks != clock.last.ticks) {
        // An invariant TSC is measured over all the time there was: the error shrinks with every second.
        const u64 measured = hertz_between(clock.invariant ? clock.base : clock.last, reading);
        const bool believable = difference(measured, hertz) < hertz / 1000;
        if (!clock.exact && measured != 0 && (believable || !clock.invariant)) hertz = measured;
        if (clock.invariant && !believable) {
            // The machine slept or the platform timer jumped: time goes on as the TSC says, and measuring begins anew.
            clock.base = reading;
            clock.base_system = at_tsc(reading.tsc);
        }
        set_hertz(hertz);
        clock.last = reading;
        const Nanos truth = clock.base_system + static_cast<Nanos>(clock.timer.rate().to_nanos(reading.ticks - clock.base.ticks));
        const Stamp old = stamp();
        clock.stamp.set(steer(old, reading.tsc, hertz, truth, correction_period));
    }
    cpu::irq_restore(flags);
}

Nanos now() {
    return clock.stamp.with([](const Stamp& s) { return s.at(cpu::rdtsc()); });
}

Stamp stamp() {
    return clock.stamp.with([](const Stamp& s) { return s; });
}

u64 tsc_hertz() {
    return clock.hertz.load(std::memory_order_relaxed);
}

bool tsc_is_stable() {
    return clock.invariant && clock.in_step.load(std::memory_order_relaxed);
}

void note_out_of_step() {
    clock.in_step.store(false, std::memory_order_relaxed);
}

void arm_timer(Nanos deadline) {
    irqchip::LocalApic& apic = irqchip::local_apic;
    if (deadline == never) {
        apic.stop_timer();
        return;
    }
    constexpr Nanos furthest = 4'000'000'000;
    Nanos ahead = deadline - now();
    if (ahead < 0) ahead = 0;
    if (ahead > furthest) ahead = furthest;
    if (apic.has_deadline_timer()) {
        apic.arm_deadline(cpu::rdtsc() + clock.nanos_to_tsc.apply(static_cast<u64>(ahead)) + 1);
        return;
    }
    const u64 ticks = clock.nanos_to_apic.apply(static_cast<u64>(ahead)) + 1;
    apic.arm_ticks(ticks > ~u32{0} ? ~u32{0} : static_cast<u32>(ticks));
}

void wait(Nanos duration) {
    const Nanos end = now() + duration;
    while (now() < end) cpu::relax();
}

}  // namespace xylem::time
