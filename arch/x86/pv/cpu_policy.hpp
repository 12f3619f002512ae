// SPDX-License-Identifier: MIT
// What CPUID (and a few MSRs) say to one kind of reader, as a table: of the hardware, of the hypervisor, of a domain.
// Tables are made in a few steps (policy_steps.hpp) and never change once somebody reads them.
#pragma once

#include <array>

#include "core/port/cpu_info.hpp"
#include "cpu/instructions.hpp"

namespace xylem::pv {

struct CpuPolicy {
    // As many leaves as the tools of Xen 4.17 know. The four leaves with subleaves have tables of their own.
    static constexpr u32 basic_end = 0xe, cache_end = 6, structured_end = 3, topology_end = 2, xstate_end = 63,
                         extended_end = 0x22;
    static constexpr u32 extended_base = 0x80000000, xen_base = 0x40000000, viridian_base = 0x40000100;

    std::array<cpu::CpuidRegs, basic_end> basic{};
    std::array<cpu::CpuidRegs, cache_end> cache{};            // leaf 4
    std::array<cpu::CpuidRegs, structured_end> structured{};  // leaf 7
    std::array<cpu::CpuidRegs, topology_end> topology{};      // leaf 0xb
    std::array<cpu::CpuidRegs, xstate_end> xstate{};          // leaf 0xd
    std::array<cpu::CpuidRegs, extended_end> extended{};      // leaf 0x80000000 on
    u32 xen_leaves = 0;         // the highest of our own leaves (0x40000000.a); 0 = all that there are
    u32 viridian_leaves = 0;    // the same at 0x40000100; nobody shows them
    u64 platform_info = 0;      // MSR 0xce
    u64 arch_capabilities = 0;  // MSR 0x10a

    // The place of a leaf, null where the table has none. The subleaf does not matter to leaves without.
    const cpu::CpuidRegs* find(u32 leaf, u32 subleaf) const { return const_cast<CpuPolicy*>(this)->find(leaf, subleaf); }
    cpu::CpuidRegs* find(u32 leaf, u32 subleaf);

    bool operator==(const CpuPolicy& other) const;
};
static_assert(sizeof(CpuPolicy) <= 2048);

inline cpu::CpuidRegs* CpuPolicy::find(u32 leaf, u32 subleaf) {
    const auto in = [](auto& table, u32 index) { return index < table.size() ? &table[index] : nullptr; };
    if (leaf >= extended_base) return in(extended, leaf - extended_base);
    switch (leaf) {
        case 4: return in(cache, subleaf);
        case 7: return in(structured, subleaf);
        case 0xb: return in(topology, subleaf);
        case 0xd: return in(xstate, subleaf);
        default: return in(basic, leaf);
    }
}

// All feature words of a policy together, and back.
port::FeatureSet features_of(const CpuPolicy& p);
void put_features(CpuPolicy& p, const port::FeatureSet& f);

// The form in which tools get policies, and give them back: fills `p`, of which leaves that are not mentioned stay.
// XEN_ERANGE for a leaf or MSR that no policy has, XEN_EINVAL for reserved flags, XEN_EOVERFLOW for a value that does not fit.
void describe(const CpuPolicy& p, port::PolicyWords& to);
Result<> apply(const port::PolicyWords& from, CpuPolicy& p, port::PolicyFault& fault);

}  // namespace xylem::pv
