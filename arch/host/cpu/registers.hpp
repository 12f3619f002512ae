// SPDX-License-Identifier: MIT
// The simulated CPUs: what their registers hold, and what was done to them. Only state; the memory side is mmu.hpp.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "base/types.hpp"

namespace xylem::host {

// Something a CPU was told, in order, for tests that care.
struct Event {
    std::string_view what;  // the instruction
    u64 operand = 0;
    bool operator==(const Event&) const = default;
};

struct CpuidKey {
    u32 leaf, subleaf;
    auto operator<=>(const CpuidKey&) const = default;
};
struct CpuidValue {
    u32 a, b, c, d;
};

struct Registers {
    u64 cr0 = 0x8005'0033, cr2 = 0, cr3 = 0, cr4 = 0;
    u64 dr[8] = {0, 0, 0, 0, 0, 0, 0xffff'0ff0, 0x400};
    u64 xcr0 = 1;
    u16 ds = 0, es = 0, fs = 0, gs = 0, ldtr = 0;
    u64 fs_base = 0, gs_base = 0, kernel_gs_base = 0;
    u64 gdt_base = 0, idt_base = 0;
    u16 gdt_limit = 0, idt_limit = 0;
    std::map<u32, u64> msrs;  // others than the bases; what is not here faults
    u64 tsc = 0;
    bool user_access = false;  // EFLAGS.AC as stac/clac leave it
};

// The CPU that executes.
Registers& registers();

struct Simulation {
    std::vector<Event> trace;  // only while `tracing`
    bool tracing = false;
    std::map<CpuidKey, CpuidValue> cpuid;  // what is not here is zero
    u64 loadable_selectors_below = 0x10000;
    void note(const char* what, u64 operand = 0) {
        if (tracing) trace.push_back({what, operand});
    }
};
inline Simulation simulation;

}  // namespace xylem::host
