// SPDX-License-Identifier: MIT
#include "arch/x86/pv/cpu_info.hpp"

#include <algorithm>
#include <bit>

#include "arch/x86/domain/features.hpp"
#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/entry/setup.hpp"
#include "arch/x86/pv/cpuid.hpp"
#include "core/port/cpu_info.hpp"

namespace xylem::pv {
namespace {

constexpr u32 bit(unsigned n) {
    return 1U << n;
}

u32 bits_for(u32 count) {
    return count <= 1 ? 0 : static_cast<u32>(std::bit_width(count - 1));
}

// Leaf 0xb [SDM 3A 10.9.1]: the widths of the two lowest levels. False where the CPU has no such leaf.
bool from_leaf_b(ApicIdLayout& layout) {
    if (cpu::cpuid(0).a < 0xb) return false;
    const cpu::CpuidRegs thread = cpu::cpuid(0xb, 0);
    const cpu::CpuidRegs core = cpu::cpuid(0xb, 1);
    if ((thread.b & 0xffff) == 0 || (core.b & 0xffff) == 0) return false;
    layout.thread_bits = thread.a & 31;
    layout.core_bits = std::max(core.a & 31, layout.thread_bits) - layout.thread_bits;
    layout.threads_per_core = thread.b & 0xffff;
    layout.cores_per_socket = std::max(1U, (core.b & 0xffff) / layout.threads_per_core);
    return true;
}

void from_amd_leaves(ApicIdLayout& layout, u32 max_extended) {
    const cpu::CpuidRegs sizes = cpu::cpuid(0x80000008);
    const u32 logical = (sizes.c & 0xff) + 1;
    const u32 id_bits = (sizes.c >> 12) & 0xf;
    const bool topology = max_extended >= 0x8000001e && (cpu::cpuid(0x80000001).c & bit(22)) != 0;
    layout.threads_per_core = topology ? ((cpu::cpuid(0x8000001e).b >> 8) & 0xff) + 1 : 1;
    layout.cores_per_socket = std::max(1U, logical / layout.threads_per_core);
    layout.thread_bits = bits_for(layout.threads_per_core);
    layout.core_bits = std::max(id_bits != 0 ? id_bits : bits_for(logical), layout.thread_bits) - layout.thread_bits;
}

void from_legacy_leaves(ApicIdLayout& layout) {
    const cpu::CpuidRegs l1 = cpu::cpuid(1);
    if ((l1.d & bit(28)) == 0) return;  // one logical processor
    const u32 logical = std::max(1U, (l1.b >> 16) & 0xff);
    const u32 cores = cpu::cpuid(0).a >= 4 ? (cpu::cpuid(4, 0).a >> 26) + 1 : 1;
    layout.cores_per_socket = std::min(cores, logical);
    layout.threads_per_core = std::max(1U, logical / layout.cores_per_socket);
    layout.thread_bits = bits_for(layout.threads_per_core);
    layout.core_bits = bits_for(layout.cores_per_socket);
}

cpu::CpuidRegs leaf(u32 number, u32 subleaf = 0) {
    const u32 highest = cpu::cpuid(number & 0x80000000).a;
    return number <= highest ? cpu::cpuid(number, subleaf) : cpu::CpuidRegs{};
}

template <class Ask>
port::FeatureSet gather(Ask&& ask) {
    const cpu::CpuidRegs l1 = ask(1, 0);
    const cpu::CpuidRegs e1 = ask(0x80000001, 0);
    const cpu::CpuidRegs l7 = ask(7, 0);
    const cpu::CpuidRegs l7_1 = l7.a >= 1 ? ask(7, 1) : cpu::CpuidRegs{};
    const cpu::CpuidRegs l7_2 = l7.a >= 2 ? ask(7, 2) : cpu::CpuidRegs{};
    const cpu::CpuidRegs e21 = ask(0x80000021, 0);
    port::FeatureSet f{};
    f[0] = l1.d;
    f[1] = l1.c;
    f[2] = e1.d;
    f[3] = e1.c;
    f[4] = ask(0xd, 1).a;
    f[5] = l7.b;
    f[6] = l7.c;
    f[7] = ask(0x80000007, 0).d;
    f[8] = ask(0x80000008, 0).b;
    f[9] = l7.d;
    f[10] = l7_1.a;
    f[11] = e21.a;
    f[12] = l7_1.b;
    f[13] = l7_2.d;
    f[14] = l7_1.c;
    f[15] = l7_1.d;
    f[18] = e21.c;
    f[1] &= ~bit(27);  // OSXSAVE follows CR4 and is no feature
    return f;
}

port::FeatureSet hardware_features() {
    port::FeatureSet f = gather([](u32 number, u32 subleaf) { return leaf(number, subleaf); });
    constexpr u32 arch_capabilities = 0x10a;
    if ((f[9] & bit(29)) != 0) {
        const u64 value = cpu::rdmsr(arch_capabilities);
        f[16] = static_cast<u32>(value);
        f[17] = static_cast<u32>(value >> 32);
    }
    return f;
}

void leave_out_unused(port::FeatureSet& f) {
    const Features& host = features();
    if (!host.has_xsave) {
        f[1] &= ~(bit(12) | bit(26) | bit(28) | bit(29));  // FMA, XSAVE, AVX, F16C
        f[3] &= ~(bit(11) | bit(16));                      // XOP, FMA4
        f[4] = 0;
        f[5] &= ~(bit(5) | bit(16) | bit(17) | bit(21) | bit(28) | bit(30) | bit(31));  // AVX2, AVX-512
    }
    if (!host.has_fsgsbase) f[5] &= ~bit(0);
    if (!host.has_smep) f[5] &= ~bit(7);
    if (!host.has_smap) f[5] &= ~bit(20);
}

}  // namespace

ApicIdLayout apic_id_layout() {
    ApicIdLayout layout;
    if (from_leaf_b(layout)) return layout;
    const u32 max_extended = cpu::cpuid(0x80000000).a;
    if (features().amd && max_extended >= 0x80000008)
        from_amd_leaves(layout, max_extended);
    else
        from_legacy_leaves(layout);
    return layout;
}

}  // namespace xylem::pv

namespace xylem::port {

CpuPlace cpu_place(CpuId cpu) {
    const pv::ApicIdLayout layout = pv::apic_id_layout();
    const PerCpu* c = cpu_by_id(cpu);
    const u32 id = c != nullptr ? c->apic_id : 0;
    const auto low = [](u32 value, u32 bits) { return value & ((1U << bits) - 1); };
    return {.socket = (id >> layout.thread_bits) >> layout.core_bits,
            .core = low(id >> layout.thread_bits, layout.core_bits),
            .thread = low(id, layout.thread_bits)};
}

CpuCounts cpu_counts() {
    const pv::ApicIdLayout layout = pv::apic_id_layout();
    return {.threads_per_core = layout.threads_per_core, .cores_per_socket = layout.cores_per_socket};
}

FeatureSet cpu_features(FeatureSource source) {
    if (source == FeatureSource::pv_guest) {
        const ArchVcpu& v = current_arch();
        return pv::gather([&v](u32 number, u32 subleaf) { return pv::guest_cpuid(v, number, subleaf, false); });
    }
    FeatureSet f = pv::hardware_features();
    if (source == FeatureSource::hypervisor) pv::leave_out_unused(f);
    return f;
}

}  // namespace xylem::port
