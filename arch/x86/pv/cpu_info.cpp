// SPDX-License-Identifier: MIT
#include "arch/x86/pv/cpu_info.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "arch/x86/domain/features.hpp"
#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/entry/setup.hpp"
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

// The extended fields count for families 6 and 15 [SDM, CPUID leaf 1].
CpuModel cpu_model() {
    CpuModel m{};
    const cpu::CpuidRegs zero = cpu::cpuid(0);
    const u32 letters[] = {zero.b, zero.d, zero.c};
    std::memcpy(m.vendor, letters, sizeof letters);
    const u32 id = cpu::cpuid(1).a;
    m.family = (id >> 8) & 0xf;
    m.model = (id >> 4) & 0xf;
    m.stepping = id & 0xf;
    if (m.family == 6 || m.family == 0xf) m.model |= (id >> 12) & 0xf0;
    if (m.family == 0xf) m.family += (id >> 20) & 0xff;
    return m;
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

}  // namespace xylem::port
