// SPDX-License-Identifier: MIT
#include "arch/host/irqchip.hpp"

namespace xylem::port {

using host::irqchip;

Result<u8> allocate_vectors(u32 count) {
    if (irqchip.no_vectors) return fail(XEN_ENOSPC);
    for (u32 first = align_up(0x30u, count); first + count <= 0xf0; first += count) {
        bool free = true;
        for (u32 i = 0; i < count; ++i) free = free && !irqchip.vectors.contains(static_cast<u8>(first + i));
        if (!free) continue;
        for (u32 i = 0; i < count; ++i) irqchip.vectors.insert(static_cast<u8>(first + i));
        return static_cast<u8>(first);
    }
    return fail(XEN_ENOSPC);
}
void release_vectors(u8 first, u32 count) {
    for (u32 i = 0; i < count; ++i)
        if (irqchip.vectors.erase(static_cast<u8>(first + i)) != 1) __builtin_trap();
}
void end_of_interrupt() {
    ++irqchip.ends;
}
u32 gsi_end() {
    return irqchip.gsis;
}
bool gsi_exists(Gsi gsi) {
    return gsi.raw < irqchip.gsis;
}
InterruptMode firmware_mode(Gsi gsi) {
    const auto said = irqchip.firmware.find(gsi.raw);
    return said != irqchip.firmware.end() ? said->second : gsi.raw < 16 ? isa_mode : pci_mode;
}
Result<> route_gsi(Gsi gsi, u8 vector, CpuId cpu, InterruptMode mode, bool masked) {
    if (!gsi_exists(gsi)) return fail(XEN_EINVAL);
    irqchip.pins[gsi.raw] = {vector, cpu, mode, masked};
    return {};
}
void mask_gsi(Gsi gsi) {
    irqchip.pins[gsi.raw].masked = true;
}
void unmask_gsi(Gsi gsi) {
    irqchip.pins[gsi.raw].masked = false;
}
MsiMessage compose_msi(CpuId cpu, u8 vector) {
    return {0xfee0'0000u | cpu.raw << 12, vector};
}
Result<u32> apic_read(u64 base, u32 reg) {
    if (base != 0xfec0'0000 || reg > 1) return fail(XEN_EINVAL);
    return reg == 1 ? (irqchip.gsis - 1) << 16 | 0x20 : 0;
}

}  // namespace xylem::port
