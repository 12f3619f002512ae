// SPDX-License-Identifier: MIT
#include "arch/x86/entry/flight_recorder.hpp"

#include <algorithm>
#include <cstring>

#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/entry/report.hpp"
#include "arch/x86/entry/setup.hpp"
#include "arch/x86/irqchip/vectors.hpp"
#include "arch/x86/pv/hypercalls.hpp"
#include "arch/x86/time/clock.hpp"
#include "base/panic.hpp"
#include "core/mem/heap.hpp"
#include "core/recorder/describe.hpp"
#include "core/recorder/kept.hpp"
#include "cpu/layout.hpp"
#include "init/hypervisor.hpp"

namespace xylem::recorder {
namespace {

constinit KeptMemory* kept = nullptr;
constinit u64 khz = 0;

struct LastRun {
    Header header;
    Ring* rings[KeptMemory::ring_count] = {};
};
constinit LastRun* last_run = nullptr;

const char* vector_name(u64 vector) {
    switch (vector) {
        case irqchip::guest_syscall_vector: return "int 0x80";
        case irqchip::timer_vector: return "timer";
        case irqchip::ipi_event_check_vector: return "event check";
        case irqchip::ipi_tlb_flush_vector: return "TLB flush";
        case irqchip::error_vector: return "APIC error";
        case irqchip::spurious_vector: return "spurious";
        default: break;
    }
    const bool device = vector >= irqchip::first_device_vector && vector <= irqchip::last_device_vector;
    return device ? "device" : exception_name(vector);
}

void show_ring(log::Level level, u32 cpu, const Ring& ring, usize count, const Clock& clock) {
    constexpr Names names{pv::hypercall_name, vector_name};
    Event room[shown_by_key];
    const std::span<const Event> events = newest(ring, std::span(room).first(std::min(count, shown_by_key)));
    if (events.empty()) return;
    log::at(level, "CPU {}, its last {} events:", cpu, events.size());
    for (const Event& e : events) {
        text::FixedText<160> line;
        describe(line, e, names, clock);
        log::at(level, "{}", line.view());
    }
}

// Out of the memory that this run uses now. What finds no room is lost.
void save_last_run() {
    last_run = make_own<LastRun>().release();
    if (last_run == nullptr) return;
    last_run->header = kept->header;
    for (u32 i = 0; i < kept->header.cpus; ++i) {
        last_run->rings[i] = static_cast<Ring*>(heap_allocate(sizeof(Ring)));
        if (last_run->rings[i] != nullptr) std::memcpy(static_cast<void*>(last_run->rings[i]), &kept->rings[i], sizeof(Ring));
    }
    const std::string_view reason = reason_of(last_run->header);
    log::warning("recorder: the last run ended without shutting down ({}); debug key 'L' shows what its CPUs did last",
                 reason.empty() ? "reset" : reason);
}

}  // namespace

void keep_memory(EarlyMemory& memory, u64 end_of_low_ram) {
    const u64 place = place_for_kept_memory(memory.free_ranges(), end_of_low_ram);
    if (place == 0) return log::info("recorder: no room for memory that outlives a reset");
    memory.reserve(place, place + sizeof(KeptMemory));
    kept = static_cast<KeptMemory*>(layout::direct_map(Maddr(place)));
}

void start() {
    if (kept == nullptr) return;
    if (ended_badly(kept->header)) save_last_run();
    std::memset(static_cast<void*>(kept), 0, sizeof *kept);
    write_header(kept->header, 0, 0);
}

Ring* make_ring(CpuId cpu) {
    if (kept != nullptr && cpu.raw < KeptMemory::ring_count) {
        write_header(kept->header, cpu.raw + 1, khz);
        return &kept->rings[cpu.raw];
    }
    Ring* ring = make_own<Ring>().release();
    if (ring == nullptr) panic("not enough memory for CPU {}'s flight recorder", cpu);
    return ring;
}

void learn_rate() {
    khz = time::tsc_hertz() / 1000;
    if (kept != nullptr) write_header(kept->header, kept->header.cpus, khz);
}

void stops(std::string_view reason) {
    if (kept != nullptr) note_reason(kept->header, reason);
    if (hypervisor().started) current_arch().cpu->recorder->record(Event::make(Kind::stop, 0, 0, cpu::rdtsc()));
}

void ends() {
    if (kept != nullptr) kept->header.state = Header::ended;
}

void show(log::Level level, usize count) {
    const Clock clock{cpu::rdtsc(), khz};
    for (u32 i = 0; i < max_cpus; ++i)
        if (const PerCpu* cpu = cpu_by_id(CpuId(i)); cpu != nullptr) show_ring(level, i, *cpu->recorder, count, clock);
}

void show_last_run(usize count) {
    if (last_run == nullptr) return log::info("nothing is kept of the last run: it was shut down, or memory was cleared");
    Clock clock{0, last_run->header.khz};
    for (const Ring* ring : last_run->rings)
        if (ring != nullptr) clock.now = std::max(clock.now, newest_time(*ring));
    log::info("the last run ended: {}", reason_of(last_run->header));
    for (u32 i = 0; i < KeptMemory::ring_count; ++i)
        if (last_run->rings[i] != nullptr) show_ring(log::Level::info, i, *last_run->rings[i], count, clock);
}

}  // namespace xylem::recorder
