// SPDX-License-Identifier: MIT
// The CPU as a PV guest sees it: its domain's policy, the few bits that are the vCPU's, and our own leaves.
#include "arch/x86/pv/cpuid.hpp"

#include <bit>

#include "abi/cpu_features.hpp"
#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/features.hpp"
#include "arch/x86/pv/domain_policy.hpp"
#include "arch/x86/pv/policy_steps.hpp"
#include "arch/x86/time/guest_time.hpp"
#include "core/domain/version.hpp"
#include "hw/x86/registers.hpp"

namespace xylem::pv {
namespace {

constexpr u32 osxsave = 1U << (XEN_X86_FEATURE_OSXSAVE % 32);
constexpr u32 xsavec = 1U << (XEN_X86_FEATURE_XSAVEC % 32);
constexpr u32 last_xen_leaf = 5;

cpu::CpuidRegs xen_leaf(const CpuPolicy& p, const GuestTsc& tsc, u32 index, u32 subleaf) {
    const u32 wish = p.xen_leaves & 0xff;
    const u32 last = wish >= 2 && wish < last_xen_leaf ? wish : last_xen_leaf;
    if (index > last) return {};
    switch (index) {
        case 0: return {CpuPolicy::xen_base + last, 0x566e6558, 0x65584d4d, 0x4d4d566e};  // "XenVMMXenVMM"
        case 1: return {interface_version, 0, 0, 0};
        case 2: return {1, 0x40000000, 1, 0};  // one hypercall page; MMU_PT_UPDATE_PRESERVE_AD works
        case 3: return guest_time_leaf(tsc, subleaf);
        case 5: return {0, static_cast<u32>(std::bit_width(layout::frame_count() - 1)) + page_shift, 0, 0};  // of all memory
        default: return {};
    }
}

}  // namespace

cpu::CpuidRegs guest_cpuid(const ArchVcpu& v, u32 leaf, u32 subleaf, bool forced) {
    const ArchDomain& d = *v.vcpu->domain.arch;
    const CpuPolicy& p = d.cpu_policy->policy;
    if (leaf - CpuPolicy::xen_base < 0x100) return xen_leaf(p, d.tsc, leaf - CpuPolicy::xen_base, subleaf);
    const cpu::CpuidRegs* const found = p.find(leaf, subleaf);
    if (found == nullptr) return {};
    cpu::CpuidRegs r = *found;
    if (leaf == 1) {
        r.b |= v.vcpu->id.raw << 25;  // initial APIC id: twice the vCPU number
        const bool xsave_on = forced ? p.xstate[0].a != 0 : (v.cr4 & x86::cr4::osxsave) != 0;
        if (xsave_on) r.c |= osxsave;
    } else if (leaf == 0xd && subleaf < 2 && p.xstate[0].a != 0) {
        if (subleaf == 0)
            r.b = xstate_bytes(p, v.xcr0, false);
        else if ((r.a & xsavec) != 0)
            r.b = xstate_bytes(p, v.xcr0, true);
    }
    return r;
}

}  // namespace xylem::pv
