// SPDX-License-Identifier: MIT
// Hostile CPU policies: whatever list of leaves and MSRs comes from tools, it is refused by name or gives a policy that the CPU
// and the hypervisor can keep, and that is taken back as it was given out.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "arch/x86/pv/policy_steps.hpp"
#include "tests/unit/arch/fake_cpu.hpp"

namespace xylem::host {
namespace {

using namespace pv;

void require(bool condition) {
    if (!condition) std::abort();
}

const CpuPolicy& max_policy(bool amd) {
    static const auto make = [](bool vendor) {
        simulation = {};
        environment = {};
        become_server_cpu(vendor);
        CpuPolicy p;
        make_policy(port::PolicyKind::pv_max, p);
        return p;
    };
    static const CpuPolicy policies[2] = {make(false), make(true)};
    environment.features.amd = amd;
    environment.features.intel = !amd;
    return policies[amd];
}

// Leaves that exist come as one byte, so that inputs get past the first checks.
xen_cpuid_leaf_t leaf_of(const u8* at) {
    constexpr u32 known[] = {0,          1,          2,          4,          7,          0xb,        0xd,
                             0x40000000, 0x40000100, 0x80000000, 0x80000001, 0x80000007, 0x80000008, 0x80000021};
    xen_cpuid_leaf_t l;
    std::memcpy(&l, at + 2, sizeof l);
    if (at[0] < std::size(known)) {
        l.leaf = known[at[0]];
        l.subleaf = l.leaf == 4 || l.leaf == 7 || l.leaf == 0xb || l.leaf == 0xd ? at[1] : XEN_CPUID_NO_SUBLEAF;
    }
    return l;
}

void check(const CpuPolicy& p, const CpuPolicy& max) {
    const port::FeatureSet got = features_of(p);
    const port::FeatureSet allowed = features_of(max);
    for (u32 i = 0; i < got.size(); ++i) require((got[i] & ~(allowed[i] | (i == 2 ? allowed[0] : 0))) == 0);
    require((p.xstate[0].a & ~environment.features.xcr0) == 0 && p.xstate[0].c <= max.xstate[0].c);
    require(xstate_bytes(p, ~u64{0}, false) <= max.xstate[0].c);
    port::PolicyFault fault;
    require(check_limits(p, max, fault).has_value());
    CpuPolicy again = p;
    make_consistent(again, max);
    require(again == p);
    port::PolicyWords words;
    describe(p, words);
    require(words.leaves <= port::max_policy_leaves && words.msrs == port::max_policy_msrs);
    CpuPolicy read;
    require(apply(words, read, fault).has_value() && read == p);
}

}  // namespace
}  // namespace xylem::host

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
    using namespace xylem::host;
    constexpr size_t entry = 2 + sizeof(xen_cpuid_leaf_t);
    if (size < 2 + sizeof(xen_msr_entry_t)) return 0;
    const CpuPolicy& max = max_policy((data[0] & 1) != 0);
    CpuPolicy p = max;
    reduce_to_pv_default(p);
    make_consistent(p, max);
    check(p, max);

    xylem::port::PolicyWords words;
    words.msrs = data[1] & 1;
    std::memcpy(words.msr.data(), data + 2, sizeof words.msr[0]);
    const size_t start = 2 + sizeof words.msr[0];
    words.leaves = static_cast<xylem::u32>(std::min<size_t>((size - start) / entry, xylem::port::max_policy_leaves));
    for (xylem::u32 i = 0; i < words.leaves; ++i) words.leaf[i] = leaf_of(data + start + i * entry);
    xylem::port::PolicyFault fault;
    if (!apply(words, p, fault)) {
        bool named = words.msrs != 0 && fault.msr == words.msr[0].idx;
        for (xylem::u32 i = 0; i < words.leaves; ++i)
            named = named || (fault.leaf == words.leaf[i].leaf && fault.subleaf == words.leaf[i].subleaf);
        require(named);
        return 0;
    }
    if (!check_limits(p, max, fault)) {
        require(fault.leaf != ~0U || fault.msr != ~0U);
        return 0;
    }
    make_consistent(p, max);
    check(p, max);
    return 0;
}
