// SPDX-License-Identifier: MIT
// The contract: what the machine's administrator is told about its CPUs.
#pragma once

#include <array>

#include "abi/xen.hpp"

namespace xylem {
struct Domain;
struct Vcpu;
}  // namespace xylem

namespace xylem::port {

// Where a CPU sits. Numbers as the hardware has them: not dense. Core numbers repeat in every socket.
struct CpuPlace {
    u32 socket = 0;
    u32 core = 0;
    u32 thread = 0;
};
// `cpu` is below online_cpus().
CpuPlace cpu_place(CpuId cpu);

struct CpuCounts {
    u32 threads_per_core = 1;
    u32 cores_per_socket = 1;
};
CpuCounts cpu_counts();

// The rate of system time's counter; constant after start.
u32 cpu_khz();

// A set of CPU features in the order of <xen/arch-x86/cpufeatureset.h>: 32 per word.
inline constexpr u32 feature_words = 19;
using FeatureSet = std::array<u32, feature_words>;

// Whose view of the CPU.
enum class PolicyKind : u8 {
    raw,         // what the CPU says
    host,        // what the hypervisor uses of it
    pv_max,      // what a PV guest can have at all
    pv_default,  // what it has without being asked
};
FeatureSet cpu_features(PolicyKind kind);

// A policy in the tools' form: a list of CPUID leaves and MSRs.
inline constexpr u32 max_policy_leaves = 0x78;
inline constexpr u32 max_policy_msrs = 2;
struct PolicyWords {
    u32 leaves = 0;
    u32 msrs = 0;
    std::array<xen_cpuid_leaf_t, max_policy_leaves> leaf{};
    std::array<xen_msr_entry_t, max_policy_msrs> msr{};
};
// What of a policy was refused; all ones: nothing in particular.
struct PolicyFault {
    u32 leaf = ~u32{0};
    u32 subleaf = ~u32{0};
    u32 msr = ~u32{0};
};
Result<> describe_policy(PolicyKind kind, PolicyWords& to);
void describe_policy(Domain& d, PolicyWords& to);
// Of a domain that never ran (the caller sees to that): takes over what `from` mentions, cut down to what the domain can have.
Result<> set_policy(Domain& d, const PolicyWords& from, PolicyFault& fault);

// A guest's TSC, as tools choose it and carry it from machine to machine. Setting: XEN_EINVAL for a mode that there is not.
void describe_tsc(Domain& d, xen_domctl_tsc_info& to);
Result<> set_tsc(Domain& d, const xen_domctl_tsc_info& from);

// MSRs that belong to a vCPU and are part of no other structure that tools save.
inline constexpr u32 saved_msrs = 1;
struct SavedMsr {
    u32 index;
    u64 value;
};
// Those that are not 0; how many.
u32 saved_msr_list(Vcpu& v, std::array<SavedMsr, saved_msrs>& to);
Result<> set_saved_msr(Vcpu& v, u32 index, u64 value);

}  // namespace xylem::port
