// SPDX-License-Identifier: MIT
#include "arch/x86/smp/smp.hpp"

#include <atomic>
#include <cstring>

#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/domain/features.hpp"
#include "arch/x86/entry/flight_recorder.hpp"
#include "arch/x86/entry/setup.hpp"
#include "arch/x86/irqchip/local_apic.hpp"
#include "arch/x86/mm/hypervisor_tables.hpp"
#include "arch/x86/pv/cpu_info.hpp"
#include "arch/x86/time/clock.hpp"
#include "base/log.hpp"
#include "base/panic.hpp"
#include "core/mem/heap.hpp"
#include "core/port/machine.hpp"
#include "core/sched/scheduler.hpp"
#include "cpu/instructions.hpp"
#include "cpu/layout.hpp"
#include "init/hypervisor.hpp"

extern "C" char trampoline_start[], trampoline_end[], trampoline_stack[], trampoline_argument[], trampoline_cr3[];
extern "C" void start_other_cpu(xylem::PerCpu* cpu);

namespace xylem {
namespace {

// Where the real-mode code of starting CPUs is: a page of RAM below 640 KiB. Not the first pages (interrupt vectors, BIOS data).
constinit u64 trampoline_page = 0;

u64 find_trampoline_page() {
    constexpr u64 first = 0x8000;
    constexpr u64 end = 0xa0000;
    for (u64 page = first; page < end; page += page_size)
        for (const MemoryRange& r : hypervisor().boot.memory())
            if (r.kind == MemoryKind::ram && page >= r.start && page + page_size <= r.end()) return page;
    return 0;
}

constinit u32 cpus_online = 1;

// Idle vCPUs belong to a domain of their own that owns nothing.
Domain& idle_domain() {
    alignas(Domain) static constinit u8 storage[sizeof(Domain)]{};
    static constinit bool made = false;
    if (!made) {
        ::new (storage) Domain(domid_idle);
        made = true;
    }
    return *reinterpret_cast<Domain*>(storage);
}

PerCpu& make_cpu(CpuId id, u32 apic_id) {
    PerCpu* cpu = make_own<PerCpu>().release();
    OwnPtr<Vcpu> idle = make_own<Vcpu>(idle_domain(), VcpuId(id.raw));
    if (cpu == nullptr || !idle || make_arch_vcpu(*idle) == nullptr) panic("not enough memory for CPU {}", id);
    cpu->id = id;
    cpu->apic_id = apic_id;
    idle->info = &idle_domain().dummy_vcpu_info;
    idle->arch->cpu = cpu;
    idle->sched.is_idle = true;
    cpu->running = idle.get();
    cpu->idle = idle.release();
    cpu->recorder = recorder::make_ring(id);
    prepare_cpu(*cpu);
    register_cpu(*cpu);
    return *cpu;
}

void load_this_cpu(PerCpu& cpu) {
    load_cpu(cpu);
    set_entry_stack(cpu, *cpu.idle->arch);
    cpu.online = true;
    cpu.last_tlb_flush.store(port::tlb_clock());
}

// The trampoline's argument words, in its copy.
u64& word_in_copy(u8* copy, const char* symbol) {
    return *reinterpret_cast<u64*>(copy + (symbol - trampoline_start));
}

// Starting CPUs turn paging on at the trampoline's own address: our tables and one identity page, below 4 GiB.
u64 make_trampoline_root() {
    alignas(page_size) static constinit u64 tables[4][512]{};
    const auto machine = [](const u64* t) { return reinterpret_cast<u64>(t) - layout::image_start; };
    std::memcpy(tables[0], hypervisor_l4, page_size);
    for (unsigned level = 0; level < 3; ++level) tables[level][0] = machine(tables[level + 1]) | pte::present | pte::writable;
    tables[3][trampoline_page >> page_shift] = trampoline_page | pte::present | pte::writable;
    return machine(tables[0]);
}

constinit std::atomic<bool> came_up{false};
constinit std::atomic<bool> may_run{false};

bool start_one(u8* copy, PerCpu& cpu) {
    came_up.store(false);
    word_in_copy(copy, trampoline_stack) = reinterpret_cast<u64>(&cpu.idle->arch->guest) - 64;
    word_in_copy(copy, trampoline_argument) = reinterpret_cast<u64>(&cpu);
    irqchip::local_apic.send_init(cpu.apic_id);
    irqchip::local_apic.send_startup(cpu.apic_id, static_cast<u8>(trampoline_page >> page_shift));
    constexpr Nanos patience = 1'000'000'000;
    const Nanos give_up = time::now() + patience;
    while (!came_up.load(std::memory_order_acquire)) {
        if (time::now() > give_up) {
            irqchip::local_apic.send_init(cpu.apic_id);  // back to waiting, should it wake up late
            return false;
        }
        cpu::relax();
    }
    time::serve_join();
    return true;
}

}  // namespace

void adopt_boot_cpu(u32 apic_id) {
    load_this_cpu(make_cpu(CpuId(0), apic_id));
}

void start_other_cpus(const acpi::PlatformInfo& info, u32 limit, bool smt) {
    trampoline_page = find_trampoline_page();
    if (trampoline_page == 0) {
        log::warning("no memory below 640 KiB to start other CPUs from: only the first CPU is used");
        return;
    }
    u8* copy = static_cast<u8*>(layout::direct_map(Maddr(trampoline_page)));
    std::memcpy(copy, trampoline_start, static_cast<usize>(trampoline_end - trampoline_start));
    word_in_copy(copy, trampoline_cr3) = make_trampoline_root();
    const u32 boot_apic = irqchip::local_apic.id();
    const u32 thread_mask = smt ? 0 : (1U << pv::apic_id_layout().thread_bits) - 1;
    for (const acpi::Cpu& c : info.cpus) {
        if (!c.enabled || c.apic_id == boot_apic || cpus_online >= limit || cpus_online >= max_cpus) continue;
        if ((c.apic_id & thread_mask) != 0) continue;
        PerCpu& cpu = make_cpu(CpuId(cpus_online), c.apic_id);
        if (start_one(copy, cpu)) {
            ++cpus_online;
        } else {
            log::warning("CPU with APIC id {} does not start; going on without it", c.apic_id);
        }
    }
    may_run.store(true, std::memory_order_release);
}

namespace port {
u32 online_cpus() {
    return cpus_online;
}
}  // namespace port

}  // namespace xylem

using namespace xylem;

void start_other_cpu(PerCpu* cpu) {
    cpu::write_cr3(hypervisor_root());
    load_this_cpu(*cpu);
    irqchip::local_apic.enable_this_cpu(hypervisor().platform);
    came_up.store(true, std::memory_order_release);
    time::join();
    while (!may_run.load(std::memory_order_acquire)) cpu::relax();
    sched::init_cpu(cpu->id, *cpu->idle);
    sched::idle_loop();
}
