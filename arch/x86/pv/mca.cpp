// SPDX-License-Identifier: MIT
// The machine-check hypercall [ABI.md 4.1] of a machine on which no error was found: dom0's log asks for the CPUs once, then
// fetches errors from time to time. Errors that cannot be corrected stop the machine before anybody could fetch them.
#include "abi/mca.hpp"

#include <algorithm>
#include <cstring>

#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/domain/features.hpp"
#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/entry/setup.hpp"
#include "arch/x86/pv/cpu_info.hpp"
#include "arch/x86/pv/hypercalls.hpp"
#include "core/domain/domain.hpp"
#include "core/port/cpu_info.hpp"
#include "core/port/guest.hpp"
#include "cpu/instructions.hpp"

namespace xylem::pv {
namespace {

constexpr u32 mcg_cap = 0x179;

// What all CPUs have in common; the boot CPU speaks for them.
xen_mc_logical_cpu_t describe_kind() {
    const ApicIdLayout layout = apic_id_layout();
    const cpu::CpuidRegs l1 = cpu::cpuid(1);
    const u32 max_extended = cpu::cpuid(0x80000000).a;
    xen_mc_logical_cpu_t c{};
    c.mc_ncores = c.mc_ncores_active = layout.cores_per_socket;
    c.mc_nthreads = layout.threads_per_core;
    c.mc_cpuid_level = static_cast<i32>(cpu::cpuid(0).a);
    const CpuModel model = cpu_model();
    c.mc_family = model.family;
    c.mc_model = model.model;
    c.mc_step = model.stepping;
    c.mc_vendor = features().intel ? 1 : features().amd ? 2 : 0;
    std::memcpy(c.mc_vendorid, model.vendor, sizeof model.vendor);
    for (u32 i = 0; i < 3 && max_extended >= 0x80000004; ++i) {
        const cpu::CpuidRegs brand = cpu::cpuid(0x80000002 + i);
        std::memcpy(c.mc_brandid + i * sizeof brand, &brand, sizeof brand);
    }
    const port::FeatureSet set = port::cpu_features(port::PolicyKind::host);
    c.mc_cpu_caps[MC_CAPS_STD_EDX] = set[0];
    c.mc_cpu_caps[MC_CAPS_STD_ECX] = set[1];
    c.mc_cpu_caps[MC_CAPS_AMD_EDX] = set[2];
    c.mc_cpu_caps[MC_CAPS_AMD_ECX] = set[3];
    c.mc_cache_alignment = ((l1.b >> 8) & 0xff) * 8;
    if (max_extended >= 0x80000006) c.mc_cache_size = cpu::cpuid(0x80000006).c >> 16;
    if ((l1.d & (1U << 14)) != 0) {
        c.mc_nmsrvals = 1;
        c.mc_msrvalues[0] = {.reg = mcg_cap, .value = cpu::rdmsr(mcg_cap)};
    }
    return c;
}

Result<> physical_cpus(xen_mc_physcpuinfo_t& op) {
    const GuestPtr<xen_mc_logical_cpu_t> list(op.info);
    const u32 there = port::online_cpus();
    if (list.is_null()) {
        op.ncpus = there;
        return {};
    }
    op.ncpus = std::min(op.ncpus, there);
    xen_mc_logical_cpu_t c = describe_kind();
    for (u32 i = 0; i < op.ncpus; ++i) {
        const port::CpuPlace place = port::cpu_place(CpuId(i));
        const PerCpu* cpu = cpu_by_id(CpuId(i));
        c.mc_cpunr = i;
        c.mc_chipid = place.socket;
        c.mc_coreid = static_cast<u16>(place.core);
        c.mc_threadid = static_cast<u16>(place.thread);
        c.mc_apicid = cpu != nullptr ? cpu->apic_id : 0;
        TRY(list.element(i).write(c));
    }
    return {};
}

Result<> fetch(xen_mc_fetch_t& op) {
    const u32 kind = op.flags & (XEN_MC_NONURGENT | XEN_MC_URGENT);
    if (kind != XEN_MC_NONURGENT && kind != XEN_MC_URGENT) return fail(XEN_EINVAL);
    const bool acknowledges = (op.flags & XEN_MC_ACK) != 0;
    if (!acknowledges && GuestPtr<mc_info_t>(op.data).is_null()) return fail(XEN_EINVAL);
    op.flags = acknowledges ? XEN_MC_OK : XEN_MC_NODATA;
    if (!acknowledges) op.fetch_id = 0;
    return {};
}

Result<> perform(GuestPtr<xen_mc> at, xen_mc& op) {
    const u64 answer = at.address() + offsetof(xen_mc, u);
    switch (op.cmd) {
        case XEN_MC_fetch: TRY(fetch(op.u.mc_fetch)); return GuestPtr<xen_mc_fetch_t>(answer).write(op.u.mc_fetch);
        case XEN_MC_physcpuinfo:
            TRY(physical_cpus(op.u.mc_physcpuinfo));
            return GuestPtr<xen_mc_physcpuinfo_t>(answer).write(op.u.mc_physcpuinfo);
        case XEN_MC_msrinject:
        case XEN_MC_mceinject:
        case XEN_MC_inject_v2: return fail(XEN_ENOSYS);  // errors are not made up
        default: return fail(XEN_EINVAL);
    }
}

}  // namespace

long hypercall_mca(u64 arg, u64, u64, u64, u64, u64) {
    if (!current_arch().vcpu->domain.is_hardware_domain) return to_hypercall_result(XEN_EPERM);
    const GuestPtr<xen_mc> at(arg);
    Result<xen_mc> op = at.read();
    if (!op) return to_hypercall_result(op.error());
    if (op->interface_version != XEN_MCA_INTERFACE_VERSION) return to_hypercall_result(XEN_EACCES);
    const Result<> result = perform(at, *op);
    return result ? 0 : to_hypercall_result(result.error());
}

}  // namespace xylem::pv
