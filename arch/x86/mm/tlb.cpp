// SPDX-License-Identifier: MIT
#include "arch/x86/mm/tlb.hpp"

#include <atomic>

#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/entry/setup.hpp"
#include "arch/x86/irqchip/local_apic.hpp"
#include "arch/x86/irqchip/vectors.hpp"
#include "core/port/machine.hpp"
#include "cpu/irqflags.hpp"

namespace xylem {
namespace {

// Counts whole flushes of any CPU. A CPU whose last flush is later than a stamp holds nothing older than the stamp. The clock
// starts just before its lower half turns over, so that every machine and every test sees that happen.
constinit std::atomic<TlbTime> flush_clock{0xffff'ff01};

// One request at a time; every CPU asked clears its bit when it has flushed.
struct Request {
    std::atomic<bool> busy{false};
    std::atomic<u64> waiting[sched::CpuMask::capacity / 64]{};
    u64 va = 0;
    bool one_page = false;
};
constinit Request request;

// Loads CR3 and notes when. The time is taken before the flush: an entry that is removed while we are between the two gets a
// stamp that is not older, and the CPU counts as stale. Taken afterwards, it would count as clean with what it cached since.
void flush_and_note(PerCpu& cpu, u64 cr3) {
    const TlbTime time = flush_clock.fetch_add(2, std::memory_order_acq_rel) + 2;
    cpu::write_cr3(cr3);
    cpu.last_tlb_flush.store(time, std::memory_order_release);
}

bool anyone_waits() {
    for (const auto& word : request.waiting)
        if (word.load(std::memory_order_acquire) != 0) return true;
    return false;
}

// Does what was asked of this CPU, if anything. Also from waiting loops, so that two CPUs that ask each other with interrupts
// off do not wait for ever.
void serve_request() {
    PerCpu& cpu = *current_arch().cpu;
    auto& word = request.waiting[cpu.id.raw / 64];
    const u64 bit = u64{1} << (cpu.id.raw % 64);
    if ((word.load(std::memory_order_acquire) & bit) == 0) return;
    if (request.one_page) {
        flush_page_local(request.va);
    } else {
        flush_tlb_local();
    }
    word.fetch_and(~bit, std::memory_order_release);
}

// Asks the other CPUs of the mask and waits.
void ask_others(const sched::CpuMask& cpus, bool one_page, u64 va) {
    const u32 self = current_arch().cpu->id.raw;
    bool any = false;
    for (u32 i = 0; i < port::online_cpus(); ++i) any = any || (i != self && cpus.has(CpuId(i)));
    if (!any) return;
    while (request.busy.exchange(true, std::memory_order_acquire)) {
        serve_request();
        cpu::relax();
    }
    request.va = va;
    request.one_page = one_page;
    for (u32 i = 0; i < port::online_cpus(); ++i)
        if (i != self && cpus.has(CpuId(i))) request.waiting[i / 64].fetch_or(u64{1} << (i % 64), std::memory_order_release);
    for (u32 i = 0; i < port::online_cpus(); ++i)
        if (i != self && cpus.has(CpuId(i)))
            irqchip::local_apic.send(cpu_by_id(CpuId(i))->apic_id, irqchip::ipi_tlb_flush_vector);
    while (anyone_waits()) cpu::relax();
    request.busy.store(false, std::memory_order_release);
}

}  // namespace

void load_root(ArchVcpu& v, u64 root) {
    v.loaded_root = root;
    flush_and_note(*v.cpu, root);
}

void flush_tlb_local() {
    flush_and_note(*current_arch().cpu, cpu::read_cr3());
}

void flush_page_local(u64 va) {
    cpu::invlpg(va);
}

void flush_tlb_on(const sched::CpuMask& cpus) {
    if (cpus.has(current_arch().cpu->id)) flush_tlb_local();
    ask_others(cpus, false, 0);
}

void flush_page_on(const sched::CpuMask& cpus, u64 va) {
    if (cpus.has(current_arch().cpu->id)) flush_page_local(va);
    ask_others(cpus, true, va);
}

void on_tlb_flush_ipi() {
    serve_request();
}

namespace port {

TlbTime tlb_clock() {
    return flush_clock.load(std::memory_order_acquire);
}

void flush_stale_tlbs(TlbStamp stamp) {
    const TlbTime last_use = stamp.at(tlb_clock());
    if (last_use == 0) return;
    sched::CpuMask stale;
    bool any = false;
    for (u32 i = 0; i < online_cpus(); ++i) {
        if (cpu_by_id(CpuId(i))->last_tlb_flush.load(std::memory_order_acquire) > last_use) continue;
        stale.set(CpuId(i));
        any = true;
    }
    if (any) flush_tlb_on(stale);
}

}  // namespace port
}  // namespace xylem
