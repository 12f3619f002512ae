// SPDX-License-Identifier: MIT
#include "arch/x86/pv/domain_policy.hpp"

#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/features.hpp"
#include "arch/x86/pv/policy_steps.hpp"
#include "base/sync/spinlock.hpp"
#include "hw/x86/registers.hpp"

namespace xylem::pv {
namespace {

constinit Spinlock lock;  // of the list and its counts
constinit SharedPolicy* all XYLEM_GUARDED_BY(lock) = nullptr;

void release(SharedPolicy* gone) {
    if (gone == nullptr) return;
    {
        Guard g(lock);
        if (--gone->users != 0) return;
        SharedPolicy** at = &all;
        while (*at != gone) at = &(*at)->next;
        *at = gone->next;
    }
    OwnPtr<SharedPolicy>(gone).reset();
}

// One more user of a policy equal to `wanted`, which is used up where there is none yet.
SharedPolicy* share(OwnPtr<SharedPolicy> wanted) {
    Guard g(lock);
    for (SharedPolicy* p = all; p != nullptr; p = p->next) {
        if (!(p->policy == wanted->policy)) continue;
        ++p->users;
        return p;
    }
    wanted->users = 1;
    wanted->next = all;
    return all = wanted.release();
}

void install(Domain& d, OwnPtr<SharedPolicy> wanted) {
    release(std::exchange(d.arch->cpu_policy, share(std::move(wanted))));
}

Result<OwnPtr<CpuPolicy>> made_policy(port::PolicyKind kind) {
    OwnPtr<CpuPolicy> p = make_own<CpuPolicy>();
    if (!p) return fail(XEN_ENOMEM);
    make_policy(kind, *p);
    return p;
}

}  // namespace

Result<> give_default_policy(Domain& d) {
    const OwnPtr<CpuPolicy> max = TRY(made_policy(port::PolicyKind::pv_max));
    OwnPtr<SharedPolicy> wanted = make_own<SharedPolicy>();
    if (!wanted) return fail(XEN_ENOMEM);
    wanted->policy = *max;
    reduce_to_pv_default(wanted->policy);
    if (d.is_hardware_domain) adapt_to_hardware_domain(wanted->policy, *max);
    make_consistent(wanted->policy, *max);
    install(d, std::move(wanted));
    return {};
}

void drop_policy(Domain& d) {
    release(std::exchange(d.arch->cpu_policy, nullptr));
}

u64 allowed_states(const Domain& d) {
    const cpu::CpuidRegs& r = d.arch->cpu_policy->policy.xstate[0];
    return u64{r.d} << 32 | r.a;
}

u64 allowed_cr4(const Domain& d) {
    constexpr u32 fsgsbase = 1;  // leaf 7, ebx
    u64 allowed = features().guest_cr4_bits;
    if (allowed_states(d) == 0) allowed &= ~x86::cr4::osxsave;
    if ((d.arch->cpu_policy->policy.structured[0].b & fsgsbase) == 0) allowed &= ~x86::cr4::fsgsbase;
    return allowed;
}

}  // namespace xylem::pv

namespace xylem::port {

using pv::CpuPolicy;

FeatureSet cpu_features(PolicyKind kind) {
    const Result<OwnPtr<CpuPolicy>> p = pv::made_policy(kind);
    return p ? pv::features_of(**p) : FeatureSet{};
}

Result<> describe_policy(PolicyKind kind, PolicyWords& to) {
    const OwnPtr<CpuPolicy> p = TRY(pv::made_policy(kind));
    pv::describe(*p, to);
    return {};
}

void describe_policy(Domain& d, PolicyWords& to) {
    pv::describe(d.arch->cpu_policy->policy, to);
}

Result<> set_policy(Domain& d, const PolicyWords& from, PolicyFault& fault) {
    OwnPtr<pv::SharedPolicy> wanted = make_own<pv::SharedPolicy>();
    if (!wanted) return fail(XEN_ENOMEM);
    const OwnPtr<CpuPolicy> max = TRY(pv::made_policy(PolicyKind::pv_max));
    wanted->policy = d.arch->cpu_policy->policy;
    TRY(pv::apply(from, wanted->policy, fault));
    TRY(pv::check_limits(wanted->policy, *max, fault));
    pv::make_consistent(wanted->policy, *max);
    pv::install(d, std::move(wanted));
    return {};
}

}  // namespace xylem::port
