// SPDX-License-Identifier: MIT
// Policies from the hardware to a domain [ABI.md 2.7], and CPUID as a vCPU sees it.
#include "arch/x86/pv/cpu_policy.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <set>

#include "abi/cpu_features.hpp"
#include "arch/host/pv.hpp"
#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/pv/cpuid.hpp"
#include "arch/x86/pv/domain_policy.hpp"
#include "arch/x86/pv/policy_steps.hpp"
#include "core/mem/heap.hpp"
#include "tests/unit/arch/fake_cpu.hpp"

namespace xylem::host {
namespace {

using namespace pv;
using port::FeatureSet;
using port::PolicyKind;

bool has(const CpuPolicy& p, u32 feature) {
    return (features_of(p)[feature / 32] >> (feature % 32) & 1) != 0;
}
CpuPolicy made(PolicyKind kind) {
    CpuPolicy p;
    make_policy(kind, p);
    return p;
}
CpuPolicy domain_policy(const CpuPolicy& wish) {
    CpuPolicy p = wish;
    make_consistent(p, made(PolicyKind::pv_max));
    return p;
}
bool subset(const FeatureSet& a, const FeatureSet& b) {
    for (u32 i = 0; i < a.size(); ++i)
        if ((a[i] & ~b[i]) != 0) return false;
    return true;
}

class Policy : public testing::TestWithParam<bool> {
   protected:
    Policy() { become_server_cpu(GetParam()); }
    PvWorld w;
};
INSTANTIATE_TEST_SUITE_P(Vendors, Policy, testing::Bool(), [](const auto& i) { return i.param ? "amd" : "intel"; });

TEST_P(Policy, what_a_guest_at_ring_3_cannot_use_is_not_in_pv_max) {
    const CpuPolicy host = made(PolicyKind::host);
    const CpuPolicy max = made(PolicyKind::pv_max);
    for (const u32 f : {XEN_X86_FEATURE_VME,    XEN_X86_FEATURE_PSE,          XEN_X86_FEATURE_MTRR,    XEN_X86_FEATURE_PGE,
                        XEN_X86_FEATURE_PSE36,  XEN_X86_FEATURE_VMX,          XEN_X86_FEATURE_MONITOR, XEN_X86_FEATURE_PCID,
                        XEN_X86_FEATURE_X2APIC, XEN_X86_FEATURE_TSC_DEADLINE, XEN_X86_FEATURE_SVM,     XEN_X86_FEATURE_PAGE1GB,
                        XEN_X86_FEATURE_SMEP,   XEN_X86_FEATURE_SMAP,         XEN_X86_FEATURE_INVPCID, XEN_X86_FEATURE_XSAVES,
                        XEN_X86_FEATURE_PKU,    XEN_X86_FEATURE_UMIP,         XEN_X86_FEATURE_CET_SS,  XEN_X86_FEATURE_RTM}) {
        EXPECT_TRUE(has(host, f)) << f;
        EXPECT_FALSE(has(max, f)) << f;
    }
    for (const u32 f :
         {XEN_X86_FEATURE_HYPERVISOR, XEN_X86_FEATURE_SYSCALL, XEN_X86_FEATURE_NX, XEN_X86_FEATURE_LM, XEN_X86_FEATURE_XSAVE,
          XEN_X86_FEATURE_AVX512F, XEN_X86_FEATURE_FSGSBASE, XEN_X86_FEATURE_RDTSCP, XEN_X86_FEATURE_ITSC})
        EXPECT_TRUE(has(max, f)) << f;
    EXPECT_FALSE(has(made(PolicyKind::pv_default), XEN_X86_FEATURE_ITSC));
    EXPECT_FALSE(has(host, XEN_X86_FEATURE_OSXSAVE));
    EXPECT_TRUE(has(made(PolicyKind::raw), XEN_X86_FEATURE_OSXSAVE));
    EXPECT_EQ(has(host, XEN_X86_FEATURE_SEP), !GetParam());
}

TEST_P(Policy, what_the_user_forbade_is_gone_with_all_that_builds_on_it) {
    environment.features.has_xsave = environment.features.has_fsgsbase = false;
    environment.features.xcr0 = 1;
    const CpuPolicy host = made(PolicyKind::host);
    for (const u32 f : {XEN_X86_FEATURE_XSAVE, XEN_X86_FEATURE_AVX, XEN_X86_FEATURE_FMA, XEN_X86_FEATURE_F16C,
                        XEN_X86_FEATURE_XOP, XEN_X86_FEATURE_AVX2, XEN_X86_FEATURE_AVX512BW, XEN_X86_FEATURE_AVX512_BITALG,
                        XEN_X86_FEATURE_VAES, XEN_X86_FEATURE_XSAVEOPT, XEN_X86_FEATURE_FSGSBASE})
        EXPECT_FALSE(has(host, f)) << f;
    EXPECT_TRUE(has(host, XEN_X86_FEATURE_AESNI));
    for (const auto& r : domain_policy(host).xstate) EXPECT_EQ(r.a | r.b | r.c | r.d, 0u);
}

TEST_P(Policy, every_step_only_takes_away) {
    CpuPolicy p = made(PolicyKind::raw);
    FeatureSet before = features_of(p);
    before[1] |= 1U << 31;  // the mark of a hypervisor
    for (auto* step : {&reduce_to_host, &reduce_to_pv_max, &reduce_to_pv_default}) {
        step(p);
        EXPECT_TRUE(subset(features_of(p), before));
        before = features_of(p);
    }
}

TEST_P(Policy, state_sizes_follow_the_features) {
    CpuPolicy wish = made(PolicyKind::pv_default);
    EXPECT_EQ(wish.xstate[0].a, 0xe7u);
    EXPECT_EQ(wish.xstate[0].c, 2688u);  // without protection keys
    EXPECT_EQ(wish.xstate[9].a, 0u);
    wish.structured[0].b &= ~(1U << 5);  // AVX2, and with it AVX-512
    CpuPolicy p = domain_policy(wish);
    EXPECT_EQ(p.xstate[0].a, 7u);
    EXPECT_EQ(p.xstate[0].c, 832u);
    EXPECT_EQ(p.xstate[7].a, 0u);
    EXPECT_FALSE(has(p, XEN_X86_FEATURE_AVX512_VNNI));
    wish.structured[0].b = ~0U;  // wanted again: its sizes come from the hardware
    p = domain_policy(wish);
    EXPECT_EQ(p.xstate[7].b, 1664u);
}

TEST_P(Policy, on_amd_the_extended_leaf_repeats_the_basic_ones_bits) {
    const CpuPolicy p = domain_policy(made(PolicyKind::pv_default));
    EXPECT_EQ(p.extended[1].d & 0x0183f3ff, GetParam() ? p.basic[1].d & 0x0183f3ff : 0u);
    EXPECT_EQ(made(PolicyKind::pv_default).extended[1].d & (GetParam() ? 0x1U : 0U), 0u);
}

TEST_P(Policy, a_described_policy_is_taken_back_as_it_was) {
    for (const PolicyKind kind : {PolicyKind::raw, PolicyKind::host, PolicyKind::pv_max, PolicyKind::pv_default}) {
        const CpuPolicy p = made(kind);
        port::PolicyWords words;
        describe(p, words);
        EXPECT_LE(words.leaves, port::max_policy_leaves);
        EXPECT_EQ(words.msrs, port::max_policy_msrs);
        std::set<std::pair<u32, u32>> seen;
        for (u32 i = 0; i < words.leaves; ++i) EXPECT_TRUE(seen.insert({words.leaf[i].leaf, words.leaf[i].subleaf}).second);
        CpuPolicy again;
        port::PolicyFault fault;
        ASSERT_TRUE(apply(words, again, fault));
        if (kind == PolicyKind::raw) again.xstate[9] = p.xstate[9];
        for (u32 i = 10; i < CpuPolicy::xstate_end; ++i) EXPECT_EQ(p.xstate[i].a, 0u);
        EXPECT_TRUE(again == p);
    }
}

TEST_P(Policy, the_fullest_policy_fits_what_tools_expect) {
    CpuPolicy p;
    std::memset(static_cast<void*>(&p), 0xff, sizeof p);
    port::PolicyWords words;
    describe(p, words);
    EXPECT_EQ(words.leaves, port::max_policy_leaves);
    words = {};
    describe(CpuPolicy{}, words);
    EXPECT_EQ(words.leaves, 4u);  // 0, 0x40000000, 0x40000100, 0x80000000
}

TEST_P(Policy, whatever_was_wished_the_result_is_possible_and_stable) {
    std::mt19937 random(GetParam());
    const CpuPolicy max = made(PolicyKind::pv_max);
    for (int round = 0; round < 2000; ++round) {
        CpuPolicy wish = made(PolicyKind::pv_default);
        auto* words = reinterpret_cast<u32*>(&wish);
        for (int i = 0; i < 40; ++i) {
            u32& word = words[random() % (sizeof wish / 4)];
            word = random() % 2 != 0 ? static_cast<u32>(random()) : word ^ (1U << random() % 32);
        }
        make_consistent(wish, max);
        FeatureSet allowed = features_of(max);
        if (GetParam()) allowed[2] |= allowed[0];
        ASSERT_TRUE(subset(features_of(wish), allowed));
        ASSERT_EQ(wish.xstate[0].a & ~environment.features.xcr0, 0u);
        ASSERT_LE(wish.xstate[0].c, 2688u);
        ASSERT_LT(wish.basic[0].a, u32{CpuPolicy::basic_end});
        ASSERT_LT(wish.extended[0].a - CpuPolicy::extended_base, u32{CpuPolicy::extended_end});
        CpuPolicy again = wish;
        make_consistent(again, max);
        ASSERT_TRUE(again == wish) << round;
        port::PolicyWords text;
        describe(wish, text);
        CpuPolicy read;
        port::PolicyFault fault;
        ASSERT_TRUE(apply(text, read, fault));
        ASSERT_TRUE(read == wish) << round;
    }
}

TEST_P(Policy, leaves_that_no_policy_has_are_refused_by_name) {
    const auto refused = [](u32 leaf, u32 subleaf) {
        port::PolicyWords words;
        words.leaves = 2;
        words.leaf[0] = {.leaf = 1, .subleaf = XEN_CPUID_NO_SUBLEAF, .a = 0, .b = 0, .c = 0, .d = 0};
        words.leaf[1] = {.leaf = leaf, .subleaf = subleaf, .a = 0, .b = 0, .c = 0, .d = 0};
        CpuPolicy p;
        port::PolicyFault fault;
        const Result<> r = apply(words, p, fault);
        return !r && r.error() == XEN_ERANGE && fault.leaf == leaf && fault.subleaf == subleaf && fault.msr == ~0U;
    };
    constexpr u32 none = XEN_CPUID_NO_SUBLEAF;
    for (const auto& [leaf, subleaf] : std::initializer_list<std::pair<u32, u32>>{{0, 0},
                                                                                  {0, 5},
                                                                                  {7, none},
                                                                                  {7, 3},
                                                                                  {4, 6},
                                                                                  {0xb, 2},
                                                                                  {0xd, 63},
                                                                                  {0xd, none},
                                                                                  {0xe, none},
                                                                                  {0x20000000, none},
                                                                                  {0x40000001, none},
                                                                                  {0x40000000, 0},
                                                                                  {0x40000101, none},
                                                                                  {0x80000022, none},
                                                                                  {0x8086'0000, none},
                                                                                  {0xffffffff, none},
                                                                                  {0xc0000000, none}})
        EXPECT_TRUE(refused(leaf, subleaf)) << std::hex << leaf << ":" << subleaf;
    EXPECT_FALSE(refused(7, 2));
    EXPECT_FALSE(refused(0x80000021, none));

    const auto msr = [](u32 index, u32 flags, u64 value) {
        port::PolicyWords words;
        words.msrs = 1;
        words.msr[0] = {.idx = index, .flags = flags, .val = value};
        CpuPolicy p;
        port::PolicyFault fault;
        const Result<> r = apply(words, p, fault);
        if (!r) EXPECT_EQ(fault.msr, index);
        return r ? 0 : static_cast<int>(r.error());
    };
    EXPECT_EQ(msr(0xce, 0, 0x80000000), 0);
    EXPECT_EQ(msr(0xce, 1, 0), static_cast<int>(XEN_EINVAL));
    EXPECT_EQ(msr(0xce, 0, u64{1} << 32), static_cast<int>(XEN_EOVERFLOW));
    EXPECT_EQ(msr(0x10, 0, 0), static_cast<int>(XEN_ERANGE));
}

TEST_P(Policy, cpuid_adds_what_belongs_to_the_vcpu) {
    PvGuest& dom0 = w.add_guest(2);
    PvGuest& g = w.add_guest(3);
    w.run(g, 2);
    ArchVcpu& v = *g.domain->vcpus[2]->arch;
    const CpuPolicy& p = g.domain->arch->cpu_policy->policy;
    const auto leaf1 = [&](bool forced) { return guest_cpuid(v, 1, 0, forced); };
    EXPECT_EQ(leaf1(false).b, p.basic[1].b | 2u << 25);
    EXPECT_EQ(leaf1(false).c & 1u << 27, 0u);
    EXPECT_EQ(leaf1(true).c & 1u << 27, 1u << 27);
    v.cr4 |= x86::cr4::osxsave;
    EXPECT_EQ(leaf1(false).c & 1u << 27, 1u << 27);

    v.xcr0 = 1;
    EXPECT_EQ(guest_cpuid(v, 0xd, 0, false).b, 576u);
    v.xcr0 = 7;
    EXPECT_EQ(guest_cpuid(v, 0xd, 0, false).b, 832u);
    v.xcr0 = 0xe3;  // without AVX: its room stays, but not in the compacted form
    EXPECT_EQ(guest_cpuid(v, 0xd, 0, false).b, 2688u);
    EXPECT_EQ(guest_cpuid(v, 0xd, 1, false).b, 576u + 64 + 512 + 1024);
    EXPECT_EQ(guest_cpuid(v, 0xd, 0, false).c, 2688u);

    for (const u32 leaf : {0xeu, 0x10u, 0x16u, 0x80000022u, 0x80000028u, 0xc0000000u, 0x40000006u, 0x40000100u, 0x20000000u})
        for (const u32 subleaf : {0u, 1u, 64u, ~0u}) {
            const auto r = guest_cpuid(v, leaf, subleaf, true);
            EXPECT_EQ(r.a | r.b | r.c | r.d, 0u) << leaf;
        }
    EXPECT_EQ(guest_cpuid(v, 0x40000000, 0, false).a, 0x40000005u);
    EXPECT_EQ(guest_cpuid(v, 0x40000005, 0, false).b, static_cast<u32>(std::bit_width(layout::frame_count() - 1)) + 12);

    const CpuPolicy& p0 = dom0.domain->arch->cpu_policy->policy;  // no topology, and it never moves
    EXPECT_FALSE(has(p0, XEN_X86_FEATURE_HTT));
    EXPECT_TRUE(has(p0, XEN_X86_FEATURE_ITSC));
    EXPECT_EQ(p0.extended[8].c, 0u);
    EXPECT_FALSE(has(p, XEN_X86_FEATURE_ITSC));
}

TEST_P(Policy, domains_with_equal_policies_share_one) {
    w.add_guest();
    PvGuest& a = w.add_guest();
    PvGuest& b = w.add_guest();
    const auto table = [](const PvGuest& g) { return g.domain->arch->cpu_policy; };
    EXPECT_EQ(table(a), table(b));
    EXPECT_EQ(table(a)->users, 2u);
    const u64 before = heap_bytes_used();
    port::PolicyWords words;
    words.leaves = 1;
    words.leaf[0] = {.leaf = 1, .subleaf = XEN_CPUID_NO_SUBLEAF, .a = 0x12345, .b = 0, .c = 0, .d = ~0U};
    port::PolicyFault fault;
    ASSERT_TRUE(port::set_policy(*b.domain, words, fault));
    EXPECT_NE(table(a), table(b));
    EXPECT_EQ(table(a)->users, 1u);
    EXPECT_EQ(heap_bytes_used(), before + std::bit_ceil(sizeof(SharedPolicy)));
    ASSERT_TRUE(port::set_policy(*a.domain, words, fault));
    EXPECT_EQ(table(a), table(b));
    EXPECT_EQ(heap_bytes_used(), before);
    words.leaf[0].leaf = 0xe;
    ASSERT_FALSE(port::set_policy(*a.domain, words, fault));
    EXPECT_EQ(heap_bytes_used(), before);
}

}  // namespace
}  // namespace xylem::host
