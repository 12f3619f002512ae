// SPDX-License-Identifier: MIT
#include "arch/x86/pv/cpu_policy.hpp"

#include <algorithm>
#include <cstring>

namespace xylem::pv {
namespace {

constexpr u32 no_subleaf = XEN_CPUID_NO_SUBLEAF;
constexpr u32 msr_platform_info = 0xce, msr_arch_capabilities = 0x10a;

void add(port::PolicyWords& to, u32 leaf, u32 subleaf, const cpu::CpuidRegs& r) {
    to.leaf[to.leaves++] = {.leaf = leaf, .subleaf = subleaf, .a = r.a, .b = r.b, .c = r.c, .d = r.d};
}

// Subleaves up to the first that `is_last` names (the reader sees from it that no more follow).
template <class Table, class IsLast>
void add_until(port::PolicyWords& to, u32 leaf, const Table& table, IsLast is_last) {
    for (u32 i = 0; i < table.size(); ++i) {
        add(to, leaf, i, table[i]);
        if (is_last(table[i])) return;
    }
}

void add_xstate(port::PolicyWords& to, const CpuPolicy& p) {
    const u64 states = u64{p.xstate[0].d | p.xstate[1].d} << 32 | p.xstate[0].a | p.xstate[1].c;
    for (u32 i = 0; i < CpuPolicy::xstate_end; ++i)
        if (i < 2 || (states >> i & 1) != 0) add(to, 0xd, i, p.xstate[i]);
}

void add_basic(port::PolicyWords& to, const CpuPolicy& p) {
    const u32 last = std::min(p.basic[0].a, CpuPolicy::basic_end - 1);
    for (u32 leaf = 0; leaf <= last; ++leaf) {
        switch (leaf) {
            case 4: add_until(to, leaf, p.cache, [](const auto& r) { return (r.a & 0x1f) == 0; }); break;
            case 7: {
                const u32 last_subleaf = std::min(p.structured[0].a, CpuPolicy::structured_end - 1);
                for (u32 i = 0; i <= last_subleaf; ++i) add(to, leaf, i, p.structured[i]);
                break;
            }
            case 0xb: add_until(to, leaf, p.topology, [](const auto& r) { return (r.c & 0xff00) == 0; }); break;
            case 0xd: add_xstate(to, p); break;
            default: add(to, leaf, no_subleaf, p.basic[leaf]); break;
        }
    }
}

bool has_subleaves(u32 leaf) {
    return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd;
}

Result<> put_leaf(const xen_cpuid_leaf_t& l, CpuPolicy& p) {
    if (!has_subleaves(l.leaf) && l.subleaf != no_subleaf) return fail(XEN_ERANGE);
    switch (l.leaf) {
        case CpuPolicy::xen_base: p.xen_leaves = l.a; return {};
        case CpuPolicy::viridian_base: p.viridian_leaves = l.a; return {};
        default: break;
    }
    cpu::CpuidRegs* const place = p.find(l.leaf, l.subleaf);
    if (place == nullptr) return fail(XEN_ERANGE);
    *place = {l.a, l.b, l.c, l.d};
    return {};
}

Result<> put_msr(const xen_msr_entry_t& m, CpuPolicy& p) {
    if (m.flags != 0) return fail(XEN_EINVAL);
    switch (m.idx) {
        case msr_platform_info:
            if (m.val > ~u32{0}) return fail(XEN_EOVERFLOW);
            p.platform_info = m.val;
            return {};
        case msr_arch_capabilities: p.arch_capabilities = m.val; return {};
        default: return fail(XEN_ERANGE);
    }
}

}  // namespace

bool CpuPolicy::operator==(const CpuPolicy& other) const {
    static_assert(std::has_unique_object_representations_v<CpuPolicy>);  // no padding
    return std::memcmp(this, &other, sizeof *this) == 0;
}

port::FeatureSet features_of(const CpuPolicy& p) {
    port::FeatureSet f{};
    f[0] = p.basic[1].d;
    f[1] = p.basic[1].c;
    f[2] = p.extended[1].d;
    f[3] = p.extended[1].c;
    f[4] = p.xstate[1].a;
    f[5] = p.structured[0].b;
    f[6] = p.structured[0].c;
    f[7] = p.extended[7].d;
    f[8] = p.extended[8].b;
    f[9] = p.structured[0].d;
    f[10] = p.structured[1].a;
    f[11] = p.extended[0x21].a;
    f[12] = p.structured[1].b;
    f[13] = p.structured[2].d;
    f[14] = p.structured[1].c;
    f[15] = p.structured[1].d;
    f[16] = static_cast<u32>(p.arch_capabilities);
    f[17] = static_cast<u32>(p.arch_capabilities >> 32);
    f[18] = p.extended[0x21].c;
    return f;
}

void put_features(CpuPolicy& p, const port::FeatureSet& f) {
    p.basic[1].d = f[0];
    p.basic[1].c = f[1];
    p.extended[1].d = f[2];
    p.extended[1].c = f[3];
    p.xstate[1].a = f[4];
    p.structured[0].b = f[5];
    p.structured[0].c = f[6];
    p.extended[7].d = f[7];
    p.extended[8].b = f[8];
    p.structured[0].d = f[9];
    p.structured[1].a = f[10];
    p.extended[0x21].a = f[11];
    p.structured[1].b = f[12];
    p.structured[2].d = f[13];
    p.structured[1].c = f[14];
    p.structured[1].d = f[15];
    p.arch_capabilities = u64{f[17]} << 32 | f[16];
    p.extended[0x21].c = f[18];
}

void describe(const CpuPolicy& p, port::PolicyWords& to) {
    to.leaves = to.msrs = 0;
    add_basic(to, p);
    add(to, CpuPolicy::xen_base, no_subleaf, {p.xen_leaves, 0, 0, 0});
    add(to, CpuPolicy::viridian_base, no_subleaf, {p.viridian_leaves, 0, 0, 0});
    const u32 last = std::min(p.extended[0].a & 0xffff, CpuPolicy::extended_end - 1);
    for (u32 i = 0; i <= last; ++i) add(to, CpuPolicy::extended_base + i, no_subleaf, p.extended[i]);
    to.msr[to.msrs++] = {.idx = msr_platform_info, .flags = 0, .val = p.platform_info};
    to.msr[to.msrs++] = {.idx = msr_arch_capabilities, .flags = 0, .val = p.arch_capabilities};
}

Result<> apply(const port::PolicyWords& from, CpuPolicy& p, port::PolicyFault& fault) {
    for (u32 i = 0; i < from.leaves; ++i) {
        const xen_cpuid_leaf_t& l = from.leaf[i];
        if (const Result<> r = put_leaf(l, p); !r) {
            fault.leaf = l.leaf;
            fault.subleaf = l.subleaf;
            return r;
        }
    }
    for (u32 i = 0; i < from.msrs; ++i) {
        if (const Result<> r = put_msr(from.msr[i], p); !r) {
            fault.msr = from.msr[i].idx;
            return r;
        }
    }
    return {};
}

}  // namespace xylem::pv
