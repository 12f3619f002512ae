// SPDX-License-Identifier: MIT
// Everything that belongs to one physical CPU.
#pragma once

#include <atomic>

#include "arch/x86/entry/offsets.h"
#include "base/types.hpp"
#include "core/mem/tlb_stamp.hpp"
#include "core/port/sched.hpp"
#include "core/recorder/ring.hpp"
#include "cpu/current.hpp"
#include "cpu/instructions.hpp"

namespace xylem {

struct ArchVcpu;
struct Vcpu;

struct [[gnu::packed]] TaskState {
    u32 reserved0 = 0;
    u64 rsp[3] = {};
    u64 reserved1 = 0;
    u64 ist[7] = {};
    u64 reserved2 = 0;
    u16 reserved3 = 0;
    u16 io_bitmap = sizeof(TaskState);
};
static_assert(sizeof(TaskState) == 104);

struct PerCpu {
    CpuWork work;  // the exit path must look: reschedule etc. (read by assembly, as is the next)
    TaskState tss;
    recorder::Ring* recorder = nullptr;  // what the CPU did last (written by assembly, too)
    CpuId id{0};
    u32 apic_id = 0;
    bool online = false;
    std::atomic<bool> nmi_came{false};  // the hardware's; nobody was told yet
    Vcpu* idle = nullptr;
    Vcpu* running = nullptr;  // whose registers the CPU holds
    u64* gdt_page = nullptr;  // the hypervisor's page of the GDT (entry 7168 up), mapped last in every window
    u64 gdt_page_mfn = 0;
    u64 tsc_aux = ~u64{0};                   // what the MSR holds; all ones: nobody knows
    std::atomic<TlbTime> last_tlb_flush{0};  // tlb clock at this CPU's last whole flush
};

inline constexpr unsigned max_cpus = 256;

}  // namespace xylem
