// SPDX-License-Identifier: MIT
// Putting a starting CPU's TSC in step with the boot CPU's, by asking it for its TSC and looking when the answer came.
#include <atomic>

#include "arch/x86/time/clock.hpp"
#include "base/log.hpp"
#include "cpu/instructions.hpp"
#include "cpu/irqflags.hpp"

namespace xylem::time {

namespace {

constexpr unsigned rounds = 8;
constexpr u32 msr_tsc = 0x10;
constexpr u32 msr_tsc_adjust = 0x3b;

struct Meeting {
    std::atomic<u32> asked{0};
    std::atomic<u32> answered{0};
    std::atomic<u32> finished{0};
    std::atomic<u64> boot_tsc{0};
};
constinit Meeting meeting;

struct Offset {
    i64 ahead = 0;  // this CPU's TSC minus the boot CPU's
    u64 doubt = ~u64{0};

    bool is_none() const { return static_cast<u64>(ahead < 0 ? -ahead : ahead) <= doubt; }
};

// The quickest answer is the most exact one.
Offset measure() {
    Offset best;
    for (unsigned i = 0; i < rounds; ++i) {
        const u32 question = meeting.asked.load(std::memory_order_relaxed) + 1;
        const u64 before = cpu::rdtsc();
        meeting.asked.store(question, std::memory_order_release);
        while (meeting.answered.load(std::memory_order_acquire) != question) cpu::relax();
        const u64 after = cpu::rdtsc();
        const u64 half = (after - before) / 2;
        if (half >= best.doubt) continue;
        best = {static_cast<i64>(before + half - meeting.boot_tsc.load(std::memory_order_relaxed)), half};
    }
    return best;
}

bool has_tsc_adjust() {
    return cpu::cpuid(0).a >= 7 && (cpu::cpuid(7).b & (1U << 1)) != 0;
}

void set_back(i64 ahead) {
    if (has_tsc_adjust())
        cpu::wrmsr(msr_tsc_adjust, cpu::rdmsr(msr_tsc_adjust) - static_cast<u64>(ahead));
    else
        cpu::wrmsr(msr_tsc, cpu::rdtsc() - static_cast<u64>(ahead));
}

}  // namespace

void join() {
    Offset offset = measure();
    if (!offset.is_none()) {
        log::info("Time: A CPU's TSC is {} ticks ahead of the boot CPU's; setting it.", offset.ahead);
        set_back(offset.ahead);
        offset = measure();
        if (!offset.is_none()) {
            log::warning("Time: A CPU's TSC stays {} ticks off (measured to {}): time may differ between CPUs.", offset.ahead,
                         offset.doubt);
            note_out_of_step();
        }
    }
    meeting.finished.fetch_add(1, std::memory_order_release);
}

void serve_join() {
    const u32 finished = meeting.finished.load(std::memory_order_acquire);
    while (meeting.finished.load(std::memory_order_acquire) == finished) {
        const u32 question = meeting.asked.load(std::memory_order_acquire);
        if (question == meeting.answered.load(std::memory_order_relaxed)) {
            cpu::relax();
            continue;
        }
        meeting.boot_tsc.store(cpu::rdtsc(), std::memory_order_relaxed);
        meeting.answered.store(question, std::memory_order_release);
    }
}

}  // namespace xylem::time
