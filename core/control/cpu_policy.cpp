// SPDX-License-Identifier: MIT
#include "core/control/cpu_policy.hpp"

#include <algorithm>

#include "core/mem/heap.hpp"
#include "core/port/cpu_info.hpp"
#include "core/port/guest.hpp"
#include "core/port/machine.hpp"

namespace xylem::control {
namespace {

using port::PolicyKind;
using port::PolicyWords;

Result<PolicyKind> kind_of_featureset(u32 index) {
    switch (index) {
        case XEN_SYSCTL_cpu_featureset_raw: return PolicyKind::raw;
        case XEN_SYSCTL_cpu_featureset_host: return PolicyKind::host;
        case XEN_SYSCTL_cpu_featureset_pv: return PolicyKind::pv_default;
        case XEN_SYSCTL_cpu_featureset_pv_max: return PolicyKind::pv_max;
        case XEN_SYSCTL_cpu_featureset_hvm:
        case XEN_SYSCTL_cpu_featureset_hvm_max: return fail(XEN_EOPNOTSUPP);
        default: return fail(XEN_EINVAL);
    }
}

Result<PolicyKind> kind_of_policy(u32 index) {
    switch (index) {
        case XEN_SYSCTL_cpu_policy_raw: return PolicyKind::raw;
        case XEN_SYSCTL_cpu_policy_host: return PolicyKind::host;
        case XEN_SYSCTL_cpu_policy_pv_max: return PolicyKind::pv_max;
        case XEN_SYSCTL_cpu_policy_pv_default: return PolicyKind::pv_default;
        case XEN_SYSCTL_cpu_policy_hvm_max:
        case XEN_SYSCTL_cpu_policy_hvm_default: return fail(XEN_EOPNOTSUPP);
        default: return fail(XEN_EINVAL);
    }
}

// One list of the answer. A null handle asks for how many there can be; `room` becomes what was written.
template <class Handle, class Entry>
Result<> answer(Handle handle, u32& room, const Entry* entries, u32 count, u32 maximum) {
    const GuestPtr<Entry> list(handle);
    if (list.is_null()) {
        room = maximum;
        return {};
    }
    if (room < count) return fail(XEN_ENOBUFS);
    TRY(list.write_many(entries, count));
    room = count;
    return {};
}

// The fields have the same names in sysctl and domctl.
Result<> answer(const PolicyWords& words, auto& op) {
    TRY(answer(op.leaves, op.nr_leaves, words.leaf.data(), words.leaves, port::max_policy_leaves));
    return answer(op.msrs, op.nr_msrs, words.msr.data(), words.msrs, port::max_policy_msrs);
}

// More than a policy can hold is nothing that we gave out.
Result<> read_words(const xen_domctl_cpu_policy& op, PolicyWords& to) {
    if (op.nr_leaves > port::max_policy_leaves || op.nr_msrs > port::max_policy_msrs) return fail(XEN_E2BIG);
    to.leaves = op.nr_leaves;
    to.msrs = op.nr_msrs;
    TRY(GuestPtr<xen_cpuid_leaf_t>(op.leaves).read_many(to.leaf.data(), to.leaves));
    return GuestPtr<xen_msr_entry_t>(op.msrs).read_many(to.msr.data(), to.msrs);
}

}  // namespace

Result<> cpu_featureset(xen_sysctl_cpu_featureset& op) {
    const GuestPtr<u32> list(op.features);
    if (list.is_null()) {
        op.nr_features = port::feature_words;
        return {};
    }
    const PolicyKind kind = TRY(kind_of_featureset(op.index));
    op.nr_features = std::min(op.nr_features, port::feature_words);
    const port::FeatureSet set = port::cpu_features(kind);
    TRY(list.write_many(set.data(), op.nr_features));
    if (op.nr_features < port::feature_words) return fail(XEN_ENOBUFS);
    return {};
}

Result<> system_cpu_policy(xen_sysctl_cpu_policy& op) {
    if (op._rsvd != 0) return fail(XEN_EINVAL);
    const PolicyKind kind = TRY(kind_of_policy(op.index));
    const OwnPtr<PolicyWords> words = make_own<PolicyWords>();
    if (!words) return fail(XEN_ENOMEM);
    TRY(port::describe_policy(kind, *words));
    return answer(*words, op);
}

Result<> get_cpu_policy(Domain& d, xen_domctl_cpu_policy& op) {
    const OwnPtr<PolicyWords> words = make_own<PolicyWords>();
    if (!words) return fail(XEN_ENOMEM);
    {
        Guard guard(d.lock);
        port::describe_policy(d, *words);
    }
    return answer(*words, op);
}

Result<> set_cpu_policy(Domain& d, xen_domctl_cpu_policy& op) {
    if (&d == &port::current().domain) return fail(XEN_EINVAL);
    const OwnPtr<PolicyWords> words = make_own<PolicyWords>();
    if (!words) return fail(XEN_ENOMEM);
    port::PolicyFault fault;
    const Result<> result = [&]() -> Result<> {
        {
            Guard guard(d.lock);
            if (d.has_run) return fail(XEN_EEXIST);
        }
        TRY(read_words(op, *words));
        Guard guard(d.lock);
        if (d.has_run) return fail(XEN_EEXIST);
        return port::set_policy(d, *words, fault);
    }();
    if (!result && result.error() != XEN_EEXIST) {
        op.err_leaf = fault.leaf;
        op.err_subleaf = fault.subleaf;
        op.err_msr = fault.msr;
    }
    return result;
}

namespace {

// What tools may have saved elsewhere: more are none of ours.
constexpr u32 known_msrs = 16;

// Of a domain that the caller is not, as the caller would change under its own feet.
Result<Vcpu*> other_vcpu(Domain& d, u32 number) {
    if (number >= d.max_vcpus || d.vcpus[number] == nullptr) return fail(XEN_ESRCH);
    if (d.vcpus[number] == &port::current()) return fail(XEN_EINVAL);
    return d.vcpus[number];
}

}  // namespace

Result<> get_vcpu_msrs(Domain& d, xen_domctl_vcpu_msrs& op) {
    Vcpu& v = *TRY(other_vcpu(d, op.vcpu));
    const GuestPtr<xen_domctl_vcpu_msr_t> list(op.msrs);
    if (list.is_null()) {
        op.msr_count = port::saved_msrs;
        return {};
    }
    std::array<port::SavedMsr, port::saved_msrs> found;
    const u32 count = port::saved_msr_list(v, found);
    const u32 room = std::exchange(op.msr_count, count);
    if (room < count) return fail(XEN_ENOBUFS);
    for (u32 i = 0; i < count; ++i) TRY(list.element(i).write({.index = found[i].index, .reserved = 0, .value = found[i].value}));
    return {};
}

Result<> set_vcpu_msrs(Domain& d, xen_domctl_vcpu_msrs& op) {
    Vcpu& v = *TRY(other_vcpu(d, op.vcpu));
    const GuestPtr<xen_domctl_vcpu_msr_t> list(op.msrs);
    if (list.is_null()) {
        op.msr_count = port::saved_msrs;
        return {};
    }
    if (op.msr_count > known_msrs) return fail(XEN_EINVAL);
    for (u32 i = 0; i < op.msr_count; ++i) {
        const Result<xen_domctl_vcpu_msr_t> m = list.element(i).read();
        const Result<> done = !m                 ? fail(m.error())
                              : m->reserved != 0 ? fail(XEN_EINVAL)
                                                 : port::set_saved_msr(v, m->index, m->value);
        if (done) continue;
        op.msr_count = i;
        return done;
    }
    return {};
}

Result<> get_tsc_info(Domain& d, xen_domctl_tsc_info& op) {
    if (&d == &port::current().domain) return fail(XEN_EINVAL);
    Guard guard(d.lock);
    port::describe_tsc(d, op);
    return {};
}

Result<> set_tsc_info(Domain& d, const xen_domctl_tsc_info& op) {
    if (&d == &port::current().domain) return fail(XEN_EINVAL);
    Guard guard(d.lock);
    if (d.has_run) return fail(XEN_EEXIST);
    return port::set_tsc(d, op);
}

}  // namespace xylem::control
