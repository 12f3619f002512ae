// SPDX-License-Identifier: MIT
// The interrupt contract (core/port/irqchip.hpp) on local and I/O APICs.
#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/entry/setup.hpp"
#include "arch/x86/irqchip/io_apic.hpp"
#include "arch/x86/irqchip/local_apic.hpp"
#include "arch/x86/irqchip/vectors.hpp"
#include "core/port/irqchip.hpp"
#include "hw/x86/msi.hpp"
#include "init/hypervisor.hpp"

namespace xylem::port {
namespace {

constinit irqchip::VectorAllocator vectors;

u32 apic_id_of(CpuId cpu) {
    const PerCpu* c = cpu_by_id(cpu);
    return c != nullptr && c->online ? c->apic_id : cpu_by_id(CpuId(0))->apic_id;
}

}  // namespace

Result<u8> allocate_vectors(u32 count) {
    const std::optional<u8> v = count == 1 ? vectors.allocate() : vectors.allocate_block(count);
    if (!v) return fail(XEN_ENOSPC);
    return *v;
}
void release_vectors(u8 first, u32 count) {
    for (u32 i = 0; i < count; ++i) vectors.release(static_cast<u8>(first + i));
}
void end_of_interrupt() {
    irqchip::local_apic.eoi();
}

u32 gsi_end() {
    return irqchip::io_apics.gsi_end();
}
bool gsi_exists(Gsi gsi) {
    return irqchip::io_apics.has(gsi);
}

InterruptMode firmware_mode(Gsi gsi) {
    const acpi::PlatformInfo& p = hypervisor().platform;
    if (p.sci().gsi == gsi) return p.sci().mode;
    for (const acpi::Override& o : p.overrides)
        if (o.gsi == gsi) return o.mode;
    return gsi.raw < 16 ? isa_mode : pci_mode;
}

Result<> route_gsi(Gsi gsi, u8 vector, CpuId cpu, InterruptMode mode, bool masked) {
    return irqchip::io_apics.route(gsi, vector, apic_id_of(cpu), mode, masked);
}
void mask_gsi(Gsi gsi) {
    irqchip::io_apics.mask(gsi);
}
void unmask_gsi(Gsi gsi) {
    irqchip::io_apics.unmask(gsi);
}

MsiMessage compose_msi(CpuId cpu, u8 vector) {
    const auto m = hw::compose_msi(apic_id_of(cpu), vector);
    return {m.address, m.data};
}

Result<u32> apic_read(u64 base, u32 reg) {
    return irqchip::io_apics.read_register(base, reg);
}

}  // namespace xylem::port
