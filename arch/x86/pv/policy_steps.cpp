// SPDX-License-Identifier: MIT
#include "arch/x86/pv/policy_steps.hpp"

#include <algorithm>

#include "abi/cpu_features.hpp"
#include "arch/x86/domain/features.hpp"

// A feature's number, by the name that the guest interface gives it; and the set of it alone.
#define F(name) u32(XEN_X86_FEATURE_##name)
#define S(name) only(F(name))

namespace xylem::pv {
namespace {

using port::FeatureSet;

constexpr u32 bit(u32 feature) {
    return 1U << (feature % 32);
}
constexpr bool has(const FeatureSet& f, u32 feature) {
    return (f[feature / 32] & bit(feature)) != 0;
}
constexpr void add(FeatureSet& f, u32 feature) {
    f[feature / 32] |= bit(feature);
}
constexpr void remove(FeatureSet& f, u32 feature) {
    f[feature / 32] &= ~bit(feature);
}
constexpr void keep_only(FeatureSet& f, const FeatureSet& allowed) {
    for (u32 i = 0; i < f.size(); ++i) f[i] &= allowed[i];
}
consteval FeatureSet only(u32 feature) {
    FeatureSet f{};
    add(f, feature);
    return f;
}
consteval FeatureSet operator|(FeatureSet a, const FeatureSet& b) {
    for (u32 i = 0; i < a.size(); ++i) a[i] |= b[i];
    return a;
}

// What works at ring 3 under a hypervisor that owns the page tables, the interrupts and the MSRs.
constexpr FeatureSet pv_usable =
    S(FPU) | S(DE) | S(TSC) | S(MSR) | S(PAE) | S(MCE) | S(CX8) | S(APIC) | S(MCA) | S(CMOV) | S(PAT) | S(CLFLUSH) | S(MMX) |
    S(FXSR) | S(SSE) | S(SSE2) | S(HTT) | S(SSE3) | S(PCLMULQDQ) | S(SSSE3) | S(FMA) | S(CX16) | S(SSE4_1) | S(SSE4_2) |
    S(MOVBE) | S(POPCNT) | S(AESNI) | S(XSAVE) | S(AVX) | S(F16C) | S(RDRAND) | S(HYPERVISOR) | S(SYSCALL) | S(NX) | S(MMXEXT) |
    S(RDTSCP) | S(LM) | S(3DNOWEXT) | S(3DNOW) | S(LAHF_LM) | S(CMP_LEGACY) | S(ABM) | S(SSE4A) | S(MISALIGNSSE) |
    S(3DNOWPREFETCH) | S(XOP) | S(FMA4) | S(TBM) | S(XSAVEOPT) | S(XSAVEC) | S(XGETBV1) | S(FSGSBASE) | S(BMI1) | S(AVX2) |
    S(BMI2) | S(ERMS) | S(AVX512F) | S(AVX512DQ) | S(RDSEED) | S(ADX) | S(AVX512_IFMA) | S(CLFLUSHOPT) | S(CLWB) | S(AVX512CD) |
    S(SHA) | S(AVX512BW) | S(AVX512VL) | S(AVX512_VBMI) | S(AVX512_VBMI2) | S(GFNI) | S(VAES) | S(VPCLMULQDQ) | S(AVX512_VNNI) |
    S(AVX512_BITALG) | S(AVX512_VPOPCNTDQ) | S(RDPID) | S(ITSC) | S(CLZERO);

// Not without being asked: a guest that was promised an invariant TSC cannot move to a machine with another rate.
constexpr FeatureSet on_request = S(ITSC);

// Which feature builds on which [SDM 1, chapters 10-15]. Each feature stands before those that build on it.
struct Dependency {
    u32 feature, needs;
};
constexpr Dependency dependencies[] = {
    {F(SSE), F(FXSR)},
    {F(SSE2), F(SSE)},
    {F(SSE3), F(SSE2)},
    {F(SSSE3), F(SSE3)},
    {F(SSE4_1), F(SSSE3)},
    {F(SSE4_2), F(SSE4_1)},
    {F(SSE4A), F(SSE3)},
    {F(MISALIGNSSE), F(SSE)},
    {F(AESNI), F(SSE2)},
    {F(PCLMULQDQ), F(SSE2)},
    {F(SHA), F(SSE2)},
    {F(GFNI), F(SSE2)},
    {F(MMXEXT), F(MMX)},
    {F(3DNOW), F(MMX)},
    {F(3DNOWEXT), F(3DNOW)},
    {F(LM), F(SSE2)},
    {F(LM), F(PAE)},
    {F(NX), F(PAE)},
    {F(CX16), F(LM)},
    {F(LAHF_LM), F(LM)},
    {F(FSGSBASE), F(LM)},
    {F(XSAVE), F(FXSR)},
    {F(XSAVEOPT), F(XSAVE)},
    {F(XSAVEC), F(XSAVE)},
    {F(XGETBV1), F(XSAVE)},
    {F(AVX), F(XSAVE)},
    {F(AVX), F(SSE2)},
    {F(FMA), F(AVX)},
    {F(FMA4), F(AVX)},
    {F(F16C), F(AVX)},
    {F(XOP), F(AVX)},
    {F(AVX2), F(AVX)},
    {F(VAES), F(AVX)},
    {F(VAES), F(AESNI)},
    {F(VPCLMULQDQ), F(AVX)},
    {F(VPCLMULQDQ), F(PCLMULQDQ)},
    {F(AVX512F), F(AVX2)},
    {F(AVX512DQ), F(AVX512F)},
    {F(AVX512_IFMA), F(AVX512F)},
    {F(AVX512CD), F(AVX512F)},
    {F(AVX512BW), F(AVX512F)},
    {F(AVX512VL), F(AVX512F)},
    {F(AVX512_VNNI), F(AVX512F)},
    {F(AVX512_VPOPCNTDQ), F(AVX512F)},
    {F(AVX512_VBMI), F(AVX512BW)},
    {F(AVX512_VBMI2), F(AVX512BW)},
    {F(AVX512_BITALG), F(AVX512BW)},
    {F(ITSC), F(TSC)},
    {F(RDTSCP), F(TSC)},
};

// Words 0 and 2 have these in common on AMD's CPUs: everything of leaf 1's edx but SEP and what Intel added later.
constexpr u32 amd_copies = bit(F(FPU)) | bit(F(VME)) | bit(F(DE)) | bit(F(PSE)) | bit(F(TSC)) | bit(F(MSR)) | bit(F(PAE)) |
                           bit(F(MCE)) | bit(F(CX8)) | bit(F(APIC)) | bit(F(MTRR)) | bit(F(PGE)) | bit(F(MCA)) | bit(F(CMOV)) |
                           bit(F(PAT)) | bit(F(PSE36)) | bit(F(MMX)) | bit(F(FXSR));

constexpr u64 x87_and_sse = 0x3, avx_state = 0x4, avx512_states = 0xe0;

void drop_what_lacks_its_base(FeatureSet& f) {
    for (const Dependency& d : dependencies)
        if (!has(f, d.needs)) remove(f, d.feature);
}

u64 states_of(const FeatureSet& f) {
    if (!has(f, F(XSAVE))) return 0;
    return x87_and_sse | (has(f, F(AVX)) ? avx_state : 0) | (has(f, F(AVX512F)) ? avx512_states : 0);
}

void clear_from(auto& table, u32 first) {
    for (u32 i = first; i < table.size(); ++i) table[i] = {};
}

// Leaf 0xd after the features. What depends on XCR0 is filled in where a vCPU asks.
void rebuild_xstate(CpuPolicy& p, const FeatureSet& f) {
    const u64 states = states_of(f) & features().xcr0;
    if (states == 0) return clear_from(p.xstate, 0);
    for (u32 i = 2; i < CpuPolicy::xstate_end; ++i)
        if ((states >> i & 1) == 0) p.xstate[i] = {};
    p.xstate[0] = {static_cast<u32>(states), 0, xstate_bytes(p, states, false), static_cast<u32>(states >> 32)};
    p.xstate[1] = {p.xstate[1].a, 0, 0, 0};
}

void clear_above_limits(CpuPolicy& p) {
    p.basic[0].a = std::min(p.basic[0].a, CpuPolicy::basic_end - 1);
    p.extended[0].a =
        std::clamp(p.extended[0].a, CpuPolicy::extended_base, CpuPolicy::extended_base + CpuPolicy::extended_end - 1);
    const u32 last = p.basic[0].a;
    clear_from(p.basic, last + 1);
    if (last < 4) clear_from(p.cache, 0);
    if (last < 7) clear_from(p.structured, 0);
    if (last < 0xb) clear_from(p.topology, 0);
    if (last < 0xd) clear_from(p.xstate, 0);
    p.structured[0].a = std::min(p.structured[0].a, CpuPolicy::structured_end - 1);
    clear_from(p.structured, p.structured[0].a + 1);
    clear_from(p.extended, p.extended[0].a - CpuPolicy::extended_base + 1);
}

// Leaves that are the same for every PV guest, whatever it wished: those that only the hypervisor can act on are gone.
void clear_hypervisor_leaves(CpuPolicy& p) {
    for (const u32 leaf : {3U, 4U, 5U, 6U, 7U, 8U, 9U, 0xaU, 0xbU, 0xcU, 0xdU}) p.basic[leaf] = {};
    u32 caches = 0;
    while (caches < CpuPolicy::cache_end && (p.cache[caches].a & 0x1f) != 0) ++caches;
    clear_from(p.cache, caches + 1);  // the reader stops at the first that is none
    clear_from(p.topology, 0);
    p.extended[7] = {0, 0, 0, p.extended[7].d};
    p.extended[8] = {p.extended[8].a, p.extended[8].b, p.extended[8].c, 0};
    for (u32 i = 9; i < CpuPolicy::extended_end; ++i)
        if (i != 0x21) p.extended[i] = {};
    p.extended[0x21] = {p.extended[0x21].a, 0, p.extended[0x21].c, 0};
    p.structured[1].d = p.structured[2].a = p.structured[2].b = p.structured[2].c = 0;
}

}  // namespace

void read_hardware(CpuPolicy& p) {
    p = {};
    const u32 last = std::min(cpu::cpuid(0).a, CpuPolicy::basic_end - 1);
    for (u32 leaf = 0; leaf <= last; ++leaf)
        if (leaf != 4 && leaf != 7 && leaf != 0xb && leaf != 0xd) p.basic[leaf] = cpu::cpuid(leaf);
    const auto fill = [](u32 leaf, auto& table, auto is_last) {
        for (u32 i = 0; i < table.size(); ++i) {
            table[i] = cpu::cpuid(leaf, i);
            if (is_last(table[i])) return;
        }
    };
    if (last >= 4) fill(4, p.cache, [](const auto& r) { return (r.a & 0x1f) == 0; });
    if (last >= 7) {
        p.structured[0] = cpu::cpuid(7, 0);
        for (u32 i = 1; i < CpuPolicy::structured_end && i <= p.structured[0].a; ++i) p.structured[i] = cpu::cpuid(7, i);
    }
    if (last >= 0xb) fill(0xb, p.topology, [](const auto& r) { return (r.c & 0xff00) == 0; });
    if (last >= 0xd)
        for (u32 i = 0; i < CpuPolicy::xstate_end; ++i) p.xstate[i] = cpu::cpuid(0xd, i);
    const u32 extended = cpu::cpuid(CpuPolicy::extended_base).a;
    if (extended >= CpuPolicy::extended_base)
        for (u32 i = 0; i < CpuPolicy::extended_end && i <= (extended & 0xffff); ++i)
            p.extended[i] = cpu::cpuid(CpuPolicy::extended_base + i);
    if ((p.structured[0].d & bit(F(ARCH_CAPS))) != 0) p.arch_capabilities = cpu::rdmsr(0x10a);
}

void reduce_to_host(CpuPolicy& p) {
    const Features& used = features();
    FeatureSet f = features_of(p);
    remove(f, F(OSXSAVE));  // follows CR4 and is no feature
    if (!used.has_sysenter_in_long_mode) remove(f, F(SEP));
    if (!used.has_xsave) remove(f, F(XSAVE));
    if ((used.xcr0 & avx_state) == 0) remove(f, F(AVX));
    if ((used.xcr0 & avx512_states) == 0) remove(f, F(AVX512F));
    if (!used.has_fsgsbase) remove(f, F(FSGSBASE));
    if (!used.has_smep) remove(f, F(SMEP));
    if (!used.has_smap) remove(f, F(SMAP));
    drop_what_lacks_its_base(f);
    put_features(p, f);
    for (const u32 leaf : {3U, 5U, 6U, 9U, 0xaU}) p.basic[leaf] = {};
    clear_from(p.topology, 0);
    p.extended[0x1d] = p.extended[0x1e] = {};
    rebuild_xstate(p, f);
    clear_above_limits(p);
}

void reduce_to_pv_max(CpuPolicy& p) {
    FeatureSet f = features_of(p);
    add(f, F(HYPERVISOR));
    keep_only(f, pv_usable);
    drop_what_lacks_its_base(f);
    if (features().amd) f[2] &= ~amd_copies;
    put_features(p, f);
    p.basic[1].b &= 0x00ffffff;  // without the APIC id
    p.structured[0].a = CpuPolicy::structured_end - 1;
    clear_hypervisor_leaves(p);
    rebuild_xstate(p, f);
    clear_above_limits(p);
}

void reduce_to_pv_default(CpuPolicy& p) {
    FeatureSet f = features_of(p);
    for (u32 i = 0; i < f.size(); ++i) f[i] &= ~on_request[i];
    put_features(p, f);
    p.structured[0].a = 0;
    clear_above_limits(p);
}

void make_policy(port::PolicyKind kind, CpuPolicy& p) {
    read_hardware(p);
    if (kind >= port::PolicyKind::host) reduce_to_host(p);
    if (kind >= port::PolicyKind::pv_max) reduce_to_pv_max(p);
    if (kind >= port::PolicyKind::pv_default) reduce_to_pv_default(p);
}

void make_consistent(CpuPolicy& p, const CpuPolicy& max) {
    clear_above_limits(p);
    FeatureSet f = features_of(p);
    add(f, F(HYPERVISOR));
    keep_only(f, features_of(max));
    drop_what_lacks_its_base(f);
    if (features().amd) f[2] |= f[0] & amd_copies;
    put_features(p, f);
    clear_hypervisor_leaves(p);
    for (u32 i = 2; i < CpuPolicy::xstate_end; ++i) p.xstate[i] = max.xstate[i];
    rebuild_xstate(p, f);
    p.basic[1].b &= 0x00ffffff;
    p.extended[8].a = max.extended[8].a;
    p.platform_info &= max.platform_info;
    clear_above_limits(p);
}

Result<> check_limits(const CpuPolicy& p, const CpuPolicy& max, port::PolicyFault& fault) {
    if (p.basic[0].a > max.basic[0].a) {
        fault.leaf = 0;
        return fail(XEN_EINVAL);
    }
    if (p.structured[0].a > max.structured[0].a) {
        fault.leaf = 7;
        fault.subleaf = 0;
        return fail(XEN_EINVAL);
    }
    if (p.extended[0].a > max.extended[0].a) {
        fault.leaf = CpuPolicy::extended_base;
        return fail(XEN_EINVAL);
    }
    if ((p.platform_info & ~max.platform_info) != 0) {
        fault.msr = 0xce;
        return fail(XEN_EINVAL);
    }
    return {};
}

void adapt_to_hardware_domain(CpuPolicy& p, const CpuPolicy& max) {
    FeatureSet f = features_of(p);
    remove(f, F(HTT));
    remove(f, F(CMP_LEGACY));
    if (has(features_of(max), F(ITSC))) add(f, F(ITSC));
    put_features(p, f);
    p.basic[1].b &= 0xffff;
    p.extended[8].c = 0;
    p.extended[0].a = std::min(p.extended[0].a, CpuPolicy::extended_base + 8);
}

u32 xstate_bytes(const CpuPolicy& p, u64 states, bool compacted) {
    constexpr u32 legacy_and_header = 512 + 64;
    u32 end = legacy_and_header;
    for (u32 i = 2; i < CpuPolicy::xstate_end; ++i) {
        if ((states >> i & 1) == 0) continue;
        const cpu::CpuidRegs& component = p.xstate[i];  // bytes, offset, bit 1 of c: aligned to 64 where compacted
        if (compacted)
            end = ((component.c & 2) != 0 ? (end + 63) & ~63U : end) + component.a;
        else
            end = std::max(end, component.a + component.b);
    }
    return end;
}

}  // namespace xylem::pv
