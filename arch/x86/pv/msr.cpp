// SPDX-License-Identifier: MIT
#include "arch/x86/pv/msr.hpp"

#include "abi/cpu_features.hpp"
#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/features.hpp"
#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/pv/domain_policy.hpp"
#include "arch/x86/pv/privileged.hpp"
#include "core/domain/domain.hpp"
#include "cpu/guest_access.hpp"
#include "cpu/instructions.hpp"
#include "hw/x86/registers.hpp"

namespace xylem::pv {
namespace {

namespace amd {
constexpr u32 evntsel0 = 0xc0010000, perfctr3 = 0xc0010007, syscfg = 0xc0010010, hwcr = 0xc0010015, nb_cfg = 0xc001001f,
              mmio_conf = 0xc0010058, perf_ctl0 = 0xc0010200, perf_ctr5 = 0xc001020b, de_cfg = 0xc0011029;
}

// Bits of IA32_MISC_ENABLE: performance monitoring (7) and MONITOR (18) are not for PV guests; BTS (11) and PEBS (12) are absent,
// task priority messages (23) off. CPUs of AMD have no such register, but some emulators of them do.
Result<u64> misc_enable() {
    u64 value = 0;
    if (!cpu::try_rdmsr(x86::msr::misc_enable, value) && features().amd) return fail(XEN_EPERM);
    return (value & ~((u64{1} << 7) | (u64{1} << 18))) | (u64{1} << 11) | (u64{1} << 12) | (u64{1} << 23);
}

Result<u64> read_amd(u32 msr) {
    if ((msr >= amd::evntsel0 && msr <= amd::perfctr3) || (msr >= amd::perf_ctl0 && msr <= amd::perf_ctr5)) return 0;
    switch (msr) {
        case amd::syscfg:
        case amd::hwcr:
        case amd::nb_cfg:
        case amd::mmio_conf: return 0;
        case amd::de_cfg: return 2;  // LFENCE is serialising
        default: return fail(XEN_EPERM);
    }
}

Result<u64> read_intel(u32 msr) {
    switch (msr) {
        case 0x17:  // platform id
        {
            u64 value = 0;
            (void)cpu::try_rdmsr(msr, value);
            return value;
        }
        case 0x198:  // PERF_STATUS
        case 0x199:  // PERF_CTL
        case 0x19c:  // THERM_STATUS
            return 0;
        case x86::msr::feature_control: return 1;  // locked
        default: return fail(XEN_EPERM);
    }
}

}  // namespace

bool has_tsc_aux(const Domain& d) {
    const CpuPolicy& p = d.arch->cpu_policy->policy;
    constexpr u32 rdtscp = 1U << (XEN_X86_FEATURE_RDTSCP % 32), rdpid = 1U << (XEN_X86_FEATURE_RDPID % 32);
    return (p.extended[1].d & rdtscp) != 0 || (p.structured[0].c & rdpid) != 0;
}

Result<u64> read_msr(ArchVcpu& v, u32 msr) {
    switch (msr) {
        // While the guest kernel runs its own GS base is active; the user's waits behind swapgs.
        case x86::msr::kernel_gs_base: return cpu::rdmsr(x86::msr::kernel_gs_base);
        case x86::msr::fs_base: return cpu::rdmsr(x86::msr::fs_base);
        case x86::msr::gs_base: return cpu::rdmsr(x86::msr::gs_base);
        case x86::msr::efer: return x86::efer::sce | x86::efer::lme | x86::efer::lma | x86::efer::nxe;
        case x86::msr::apic_base: return 0xfee00800 | (v.vcpu->id.raw == 0 ? 0x100 : 0);
        case x86::msr::pat: return x86::pat_value;
        case x86::msr::tsc: return read_tsc(v);
        case x86::msr::tsc_aux: return has_tsc_aux(v.vcpu->domain) ? Result<u64>(v.tsc_aux) : fail(XEN_EPERM);
        case x86::msr::misc_enable: return misc_enable();
        case x86::msr::mcg_cap:
        case x86::msr::mcg_status:
        case x86::msr::mcg_ctl:
        case 0x401:  // MC0_STATUS
        case x86::msr::platform_info:
        case 0x140:       // MISC_FEATURES_ENABLES
        case 0x345:       // PERF_CAPABILITIES
        case 0x40000000:  // where the hypercall page would be asked for
            return 0;
        case 0x400: return ~u64{0};  // MC0_CTL
        case x86::msr::microcode_rev: {
            u64 value = 0;
            (void)cpu::try_rdmsr(msr, value);
            return value;
        }
        default: break;
    }
    return features().amd ? read_amd(msr) : read_intel(msr);
}

Result<> write_msr(ArchVcpu& v, u32 msr, u64 value) {
    switch (msr) {
        case x86::msr::fs_base:
        case x86::msr::gs_base:
        case x86::msr::kernel_gs_base:
            if (!layout::is_canonical(value)) return fail(XEN_EINVAL);
            cpu::wrmsr(msr, value);
            return {};
        case x86::msr::efer: return value == *read_msr(v, msr) ? Result<>{} : fail(XEN_EPERM);
        case x86::msr::tsc_aux:
            if (value > ~u32{0} || !has_tsc_aux(v.vcpu->domain)) return fail(XEN_EPERM);
            v.cpu->tsc_aux = v.tsc_aux = static_cast<u32>(value);
            cpu::wrmsr(msr, value);
            return {};
        case x86::msr::mcg_status: return {};
        case x86::msr::microcode_rev:
            return features().amd ? fail(XEN_EPERM) : Result<>{};  // kernels clear it before they read it
        default: break;
    }
    // Chipset and errata registers that kernels write on AMD: the hypervisor keeps its own settings.
    if (features().amd &&
        (msr == amd::nb_cfg || msr == amd::mmio_conf || msr == amd::hwcr || (msr >= amd::evntsel0 && msr <= amd::perfctr3)))
        return {};
    if (features().intel && msr == x86::msr::misc_enable) return {};
    return fail(XEN_EPERM);
}

}  // namespace xylem::pv
