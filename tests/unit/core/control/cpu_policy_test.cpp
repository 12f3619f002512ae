// SPDX-License-Identifier: MIT
// CPU policies, vCPU MSRs and TSC modes as tools read and set them. Answers as real Xen 4.17 gives them.
#include "core/control/cpu_policy.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "abi/cpu_features.hpp"
#include "arch/host/machine.hpp"
#include "arch/host/pv.hpp"
#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/pv/cpuid.hpp"
#include "arch/x86/pv/domain_policy.hpp"
#include "arch/x86/pv/msr.hpp"
#include "arch/x86/pv/privileged.hpp"
#include "core/port/cpu_info.hpp"
#include "tests/unit/arch/fake_cpu.hpp"

namespace xylem::host {
namespace {

using namespace control;
constexpr u32 none = XEN_CPUID_NO_SUBLEAF;
constexpr u64 msr_offset = 3200;

class PolicyOps : public testing::Test {
   protected:
    PolicyOps() { w.run(dom0); }
    static PvWorld& with_cpu(PvWorld& world) {
        become_server_cpu(true);
        return world;
    }
    static u64 va(u64 offset) { return PvGuest::va(PvGuest::arguments) + offset; }
    template <class Handle>
    static void point(Handle& handle, u64 to) {
        std::memcpy(&handle, &to, sizeof to);
    }
    static int no(Errno e) { return -static_cast<int>(e); }
    static int code(const Result<>& r) { return r ? 0 : no(r.error()); }
    xen_cpuid_leaf_t* leaves() { return reinterpret_cast<xen_cpuid_leaf_t*>(dom0.words(PvGuest::arguments)); }
    xen_msr_entry_t* msrs() { return reinterpret_cast<xen_msr_entry_t*>(dom0.words(PvGuest::arguments) + msr_offset / 8); }
    template <class Op>
    static Op with_lists(u32 nr_leaves, u32 nr_msrs) {
        Op op{};
        op.nr_leaves = nr_leaves;
        op.nr_msrs = nr_msrs;
        point(op.leaves, va(0));
        point(op.msrs, va(msr_offset));
        return op;
    }
    xen_domctl_cpu_policy current(Domain& of) {
        auto op = with_lists<xen_domctl_cpu_policy>(0x78, 2);
        EXPECT_EQ(code(get_cpu_policy(of, op)), 0);
        return op;
    }
    // One leaf or MSR alone.
    xen_domctl_cpu_policy set_leaf(const xen_cpuid_leaf_t& leaf, int expected) {
        leaves()[0] = leaf;
        auto op = with_lists<xen_domctl_cpu_policy>(1, 0);
        EXPECT_EQ(code(set_cpu_policy(d, op)), expected) << std::hex << leaf.leaf << ":" << leaf.subleaf;
        return op;
    }

    PvWorld w_{2};
    PvWorld& w = with_cpu(w_);
    PvGuest& dom0 = w.add_guest(2);
    PvGuest& other = w.add_guest(2);
    Domain& d = *other.domain;
};

TEST_F(PolicyOps, systems_policies_by_index) {
    for (u32 index = 0; index < 8; ++index) {
        auto op = with_lists<xen_sysctl_cpu_policy>(0x78, 8);
        op.index = index;
        const int expected = index > 5 ? no(XEN_EINVAL) : index == 3 || index == 5 ? no(XEN_EOPNOTSUPP) : 0;
        ASSERT_EQ(code(system_cpu_policy(op)), expected) << index;
        if (expected != 0) continue;
        EXPECT_EQ(op.nr_msrs, 2u);
        EXPECT_EQ(leaves()[0].leaf, 0u);
        EXPECT_EQ(leaves()[op.nr_leaves - 1].leaf, 0x80000021u);
    }
    auto op = with_lists<xen_sysctl_cpu_policy>(0x78, 2);
    op._rsvd = 1;
    EXPECT_EQ(code(system_cpu_policy(op)), no(XEN_EINVAL));
    op = {};
    op.nr_leaves = 5;
    op.nr_msrs = 7;
    EXPECT_EQ(code(system_cpu_policy(op)), 0);
    EXPECT_EQ(op.nr_leaves, 0x78u);
    EXPECT_EQ(op.nr_msrs, 2u);
}

TEST_F(PolicyOps, too_little_room_is_told_and_nothing_is_written) {
    auto op = with_lists<xen_domctl_cpu_policy>(3, 8);
    leaves()[0].a = 0x1234;
    EXPECT_EQ(code(get_cpu_policy(d, op)), no(XEN_ENOBUFS));
    EXPECT_EQ(op.nr_leaves, 3u);
    EXPECT_EQ(leaves()[0].a, 0x1234u);
    op = with_lists<xen_domctl_cpu_policy>(~0U, 1);
    EXPECT_EQ(code(get_cpu_policy(d, op)), no(XEN_ENOBUFS));
    EXPECT_GT(op.nr_leaves, 20u);
    EXPECT_EQ(op.nr_msrs, 1u);
    op = with_lists<xen_domctl_cpu_policy>(0x78, 2);
    point(op.leaves, bad_guest_address);
    EXPECT_EQ(code(get_cpu_policy(d, op)), no(XEN_EFAULT));
    EXPECT_EQ(code(set_cpu_policy(d, op)), no(XEN_EFAULT));
}

TEST_F(PolicyOps, what_was_given_out_is_taken_back) {
    const auto before = d.arch->cpu_policy;
    auto op = current(d);
    EXPECT_EQ(code(set_cpu_policy(d, op)), 0);
    EXPECT_EQ(d.arch->cpu_policy, before);
    auto sys = with_lists<xen_sysctl_cpu_policy>(0x78, 2);  // as libxl does: from the default
    sys.index = XEN_SYSCTL_cpu_policy_pv_default;
    ASSERT_EQ(code(system_cpu_policy(sys)), 0);
    op = with_lists<xen_domctl_cpu_policy>(sys.nr_leaves, sys.nr_msrs);
    EXPECT_EQ(code(set_cpu_policy(d, op)), 0);
    EXPECT_EQ(d.arch->cpu_policy, before);
    sys.index = XEN_SYSCTL_cpu_policy_pv_max;  // and from another machine's: more is cut down
    sys.nr_leaves = 0x78;
    ASSERT_EQ(code(system_cpu_policy(sys)), 0);
    op = with_lists<xen_domctl_cpu_policy>(sys.nr_leaves, sys.nr_msrs);
    EXPECT_EQ(code(set_cpu_policy(d, op)), 0);
    op = with_lists<xen_domctl_cpu_policy>(0, 0);
    EXPECT_EQ(code(set_cpu_policy(d, op)), 0);
}

TEST_F(PolicyOps, refusals_name_the_culprit) {
    auto op = set_leaf({0, none, 0x99, 0, 0, 0}, no(XEN_EINVAL));
    EXPECT_EQ(op.err_leaf, 0u);
    EXPECT_EQ(op.err_subleaf, none);
    EXPECT_EQ(op.err_msr, none);
    op = set_leaf({7, 0, 9, 0, 0, 0}, no(XEN_EINVAL));
    EXPECT_EQ(op.err_leaf, 7u);
    EXPECT_EQ(op.err_subleaf, 0u);
    op = set_leaf({0x80000000, none, 0x80000022, 0, 0, 0}, no(XEN_EINVAL));
    EXPECT_EQ(op.err_leaf, 0x80000000u);
    op = set_leaf({0xe, none, 0, 0, 0, 0}, no(XEN_ERANGE));
    EXPECT_EQ(op.err_leaf, 0xeu);
    op = with_lists<xen_domctl_cpu_policy>(0, 1);
    msrs()[0] = {.idx = 0xce, .flags = 0, .val = 1};
    EXPECT_EQ(code(set_cpu_policy(d, op)), no(XEN_EINVAL));
    EXPECT_EQ(op.err_leaf, none);
    EXPECT_EQ(op.err_msr, 0xceu);
    op = with_lists<xen_domctl_cpu_policy>(0x79, 0);
    EXPECT_EQ(code(set_cpu_policy(d, op)), no(XEN_E2BIG));
    op = with_lists<xen_domctl_cpu_policy>(0, 3);
    EXPECT_EQ(code(set_cpu_policy(d, op)), no(XEN_E2BIG));
    op = with_lists<xen_domctl_cpu_policy>(~0U, ~0U);
    EXPECT_EQ(code(set_cpu_policy(d, op)), no(XEN_E2BIG));
}

TEST_F(PolicyOps, a_policy_is_fixed_once_the_domain_has_run) {
    auto op = current(d);
    d.has_run = true;
    op.err_leaf = 0x1234;
    EXPECT_EQ(code(set_cpu_policy(d, op)), no(XEN_EEXIST));
    EXPECT_EQ(op.err_leaf, 0x1234u);
    xen_domctl_tsc_info tsc{};
    EXPECT_EQ(code(set_tsc_info(d, tsc)), no(XEN_EEXIST));
    op = current(*dom0.domain);
    EXPECT_EQ(code(set_cpu_policy(*dom0.domain, op)), no(XEN_EINVAL));
}

TEST_F(PolicyOps, hostile_leaves_change_nothing_or_give_a_possible_policy) {
    std::mt19937 random(7);
    constexpr u32 interesting[] = {0,          1,          4,          7,          0xb,        0xd,       0x40000000,
                                   0x40000100, 0x80000000, 0x80000001, 0x80000007, 0x80000008, 0x80000021};
    for (int round = 0; round < 400; ++round) {
        const u32 count = random() % 0x79;
        for (u32 i = 0; i < count; ++i) {
            const bool tame = random() % 64 != 0;
            const u32 leaf = tame ? interesting[random() % std::size(interesting)] : static_cast<u32>(random());
            const bool subleaves = leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd;
            const u32 subleaf = subleaves ? static_cast<u32>(random()) % (tame ? 2 : 70) : none;
            const bool limit = (leaf & 0xffff) == 0 || leaf == 7;
            const u32 a = limit && tame ? leaf | static_cast<u32>(random()) % (leaf == 7 ? 2 : 14) : static_cast<u32>(random());
            leaves()[i] = {leaf, subleaf, a, static_cast<u32>(random()), static_cast<u32>(random()), static_cast<u32>(random())};
        }
        const auto before = d.arch->cpu_policy;
        auto op = with_lists<xen_domctl_cpu_policy>(count, 0);
        if (code(set_cpu_policy(d, op)) != 0) {
            ASSERT_EQ(d.arch->cpu_policy, before);
            continue;
        }
        const port::FeatureSet max = port::cpu_features(port::PolicyKind::pv_max);
        const port::FeatureSet got = pv::features_of(d.arch->cpu_policy->policy);
        for (u32 i = 0; i < max.size(); ++i) ASSERT_EQ(got[i] & ~(max[i] | (i == 2 ? max[0] : 0)), 0u) << i;
        for (u32 i = 0; i < 20; ++i) {
            Vcpu& v = *d.vcpus[random() % 2];
            (void)pv::guest_cpuid(*v.arch, static_cast<u32>(random()), static_cast<u32>(random()) % 80, false);
        }
        auto again = current(d);
        ASSERT_EQ(code(set_cpu_policy(d, again)), 0);
    }
}

TEST_F(PolicyOps, a_vcpus_msrs_are_those_that_are_not_0) {
    xen_domctl_vcpu_msrs op{};
    op.vcpu = 1;
    EXPECT_EQ(code(get_vcpu_msrs(d, op)), 0);  // how many there can be
    EXPECT_EQ(op.msr_count, 1u);
    point(op.msrs, va(0));
    op.msr_count = 8;
    EXPECT_EQ(code(get_vcpu_msrs(d, op)), 0);
    EXPECT_EQ(op.msr_count, 0u);
    auto* entry = reinterpret_cast<xen_domctl_vcpu_msr_t*>(dom0.words(PvGuest::arguments));
    entry[0] = {.index = 0xc0000103, .reserved = 0, .value = 0x1001};
    entry[1] = {.index = 0x140, .reserved = 0, .value = 0};
    op.msr_count = 2;
    EXPECT_EQ(code(set_vcpu_msrs(d, op)), 0);
    EXPECT_EQ(op.msr_count, 2u);
    entry[0] = {};
    EXPECT_EQ(code(get_vcpu_msrs(d, op)), 0);
    EXPECT_EQ(op.msr_count, 1u);
    EXPECT_EQ(entry[0].index, 0xc0000103u);
    EXPECT_EQ(entry[0].value, 0x1001u);
    op.msr_count = 0;
    EXPECT_EQ(code(get_vcpu_msrs(d, op)), no(XEN_ENOBUFS));
    EXPECT_EQ(op.msr_count, 1u);
    w.run(other, 1);
    EXPECT_EQ(*pv::read_msr(*d.vcpus[1]->arch, 0xc0000103), 0x1001u);
    w.run(dom0);

    const auto refused = [&](u32 index, u32 reserved, u64 value) {
        entry[0] = {.index = 0x140, .reserved = 0, .value = 0};
        entry[1] = {.index = index, .reserved = reserved, .value = value};
        op.msr_count = 2;
        return code(set_vcpu_msrs(d, op)) == no(XEN_EINVAL) && op.msr_count == 1;
    };
    EXPECT_TRUE(refused(0xc0000103, 1, 0));
    EXPECT_TRUE(refused(0xc0000103, 0, u64{1} << 32));
    EXPECT_TRUE(refused(0x10, 0, 0));
    EXPECT_TRUE(refused(0x140, 0, 1));
    op.msr_count = ~0U;
    EXPECT_EQ(code(set_vcpu_msrs(d, op)), no(XEN_EINVAL));
    op.msr_count = 2;
    point(op.msrs, bad_guest_address);
    EXPECT_EQ(code(set_vcpu_msrs(d, op)), no(XEN_EFAULT));
    op.vcpu = 2;
    EXPECT_EQ(code(get_vcpu_msrs(d, op)), no(XEN_ESRCH));
    EXPECT_EQ(code(set_vcpu_msrs(d, op)), no(XEN_ESRCH));
    op.vcpu = 0;
    EXPECT_EQ(code(get_vcpu_msrs(*dom0.domain, op)), no(XEN_EINVAL));
}

TEST_F(PolicyOps, tsc_modes) {
    xen_domctl_tsc_info op{};
    machine.now = 5'000'000'000;
    EXPECT_EQ(code(set_tsc_info(d, op)), 0);
    EXPECT_EQ(code(get_tsc_info(d, op)), 0);
    EXPECT_EQ(op.tsc_mode, 0u);
    EXPECT_EQ(op.gtsc_khz, 2'000'000u);
    EXPECT_EQ(op.incarnation, 1u);
    op = {.tsc_mode = 1, .gtsc_khz = 1'000'000, .incarnation = 5, .pad = 0, .elapsed_nsec = 12'345'678};
    EXPECT_EQ(code(set_tsc_info(d, op)), 0);
    machine.now += 1000;
    EXPECT_EQ(code(get_tsc_info(d, op)), 0);
    EXPECT_EQ(op.gtsc_khz, 1'000'000u);
    EXPECT_EQ(op.incarnation, 6u);
    EXPECT_EQ(op.elapsed_nsec, 12'346'678u);
    op = {.tsc_mode = 2, .gtsc_khz = 1, .incarnation = 0, .pad = 0, .elapsed_nsec = 1};
    EXPECT_EQ(code(set_tsc_info(d, op)), 0);
    EXPECT_EQ(code(get_tsc_info(d, op)), 0);
    EXPECT_EQ(op.gtsc_khz, 0u);
    EXPECT_EQ(op.elapsed_nsec, 0u);
    for (const u32 mode : {3u, 4u, ~0u}) {
        op.tsc_mode = mode;
        EXPECT_EQ(code(set_tsc_info(d, op)), no(XEN_EINVAL));
    }
    EXPECT_EQ(code(get_tsc_info(*dom0.domain, op)), no(XEN_EINVAL));
    EXPECT_EQ(code(set_tsc_info(*dom0.domain, {})), no(XEN_EINVAL));
    for (const u32 khz : {1u, ~0u})  // nonsense is the guest's own trouble
        for (const u64 elapsed : {u64{0}, ~u64{0}, u64{1} << 63, u64{1} << 62}) {
            op = {.tsc_mode = 1, .gtsc_khz = khz, .incarnation = 0, .pad = 0, .elapsed_nsec = elapsed};
            EXPECT_EQ(code(set_tsc_info(d, op)), 0);
            (void)d.arch->tsc.at(machine.now);
            EXPECT_EQ(code(get_tsc_info(d, op)), 0);
        }
}

TEST_F(PolicyOps, a_guest_switches_on_only_what_its_policy_has) {
    const auto allowed = [&](u64 value) {
        w.run(other);
        ArchVcpu& v = *d.vcpus[0]->arch;
        w.put(other, "\x0f\x01\xd1", 3, 0x800);  // xsetbv
        v.guest.rip = va(0x800);
        v.guest.rcx = 0;
        v.guest.rax = value;
        v.guest.rdx = 0;
        const bool done = pv::emulate_privileged(v);
        w.run(dom0);
        return done;
    };
    EXPECT_TRUE(allowed(0xe7));
    EXPECT_FALSE(allowed(0x2e7));
    xen_cpuid_leaf_t leaf7{7, 0, 0, 1 << 5, 0, 0};  // AVX2 only
    set_leaf(leaf7, 0);
    EXPECT_TRUE(allowed(7));
    EXPECT_FALSE(allowed(0xe7));
    set_leaf({1, none, 0, 0, 0, ~0U}, 0);  // no XSAVE
    EXPECT_FALSE(allowed(1));
}

TEST_F(PolicyOps, an_emulated_tsc_traps_and_counts_system_time) {
    w.run(other);
    ArchVcpu& v = *d.vcpus[0]->arch;
    EXPECT_EQ(pv::host_cr4_for(v) & x86::cr4::tsd, 0u);
    w.run(dom0);
    xen_domctl_tsc_info op{.tsc_mode = 1, .gtsc_khz = 3'000'000, .incarnation = 0, .pad = 0, .elapsed_nsec = 1'000'000};
    ASSERT_EQ(code(set_tsc_info(d, op)), 0);
    w.run(other);
    EXPECT_EQ(pv::host_cr4_for(v) & x86::cr4::tsd, x86::cr4::tsd);
    machine.now += 500'000'000;
    const auto execute = [&](const char* bytes, u64 length) {
        w.put(other, bytes, length, 0x800);
        v.guest.rip = va(0x800);
        v.guest.rcx = 0x99;
        return pv::emulate_privileged(v) && v.guest.rip == va(0x800) + length;
    };
    const auto value = [&] { return v.guest.rdx << 32 | v.guest.rax; };
    constexpr u64 expected = 501'000'000ull * 3;
    ASSERT_TRUE(execute("\x0f\x31", 2));
    EXPECT_NEAR(static_cast<double>(value()), static_cast<double>(expected), 2);
    EXPECT_EQ(v.guest.rcx, 0x99u);
    v.tsc_aux = 0x2003;
    ASSERT_TRUE(execute("\x0f\x01\xf9", 3));
    EXPECT_NEAR(static_cast<double>(value()), static_cast<double>(expected), 2);
    EXPECT_EQ(v.guest.rcx, 0x2003u);
    EXPECT_NEAR(static_cast<double>(*pv::read_msr(v, 0x10)), static_cast<double>(expected), 2);
    v.kernel_mode = 0;  // programs: as the guest kernel wants it
    EXPECT_TRUE(execute("\x0f\x31", 2));
    v.cr4 |= x86::cr4::tsd;
    EXPECT_FALSE(execute("\x0f\x31", 2));
    EXPECT_FALSE(execute("\x0f\x01\xf9", 3));
    v.kernel_mode = 1;
    EXPECT_TRUE(execute("\x0f\x31", 2));
}

TEST_F(PolicyOps, a_guest_computes_system_time_from_an_emulated_tsc) {
    std::mt19937_64 random(3);
    for (const u32 khz : {1'000u, 1'000'000u, 2'445'432u, 5'000'000u}) {
        xen_domctl_tsc_info op{
            .tsc_mode = 1, .gtsc_khz = khz, .incarnation = 0, .pad = 0, .elapsed_nsec = random() % (u64{1} << 50)};
        ASSERT_EQ(code(set_tsc_info(d, op)), 0);
        const GuestTsc& tsc = d.arch->tsc;
        const i64 tick = 1'000'000 / khz + 1;
        for (int i = 0; i < 1000; ++i) {
            const Nanos at = machine.now + static_cast<Nanos>(random() % (u64{1} << 52));
            const time::Stamp seen = tsc.seen({random(), at, {}});
            const Nanos later = at + static_cast<Nanos>(random() % 2'000'000'000);
            const u64 passed = tsc.at(later) - seen.tsc;
            const i64 computed = seen.system + static_cast<i64>(seen.scale.apply(passed));
            ASSERT_LE(std::abs(computed - later), 2 * tick + 4) << khz;
        }
    }
}

}  // namespace
}  // namespace xylem::host
