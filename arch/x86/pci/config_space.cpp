// SPDX-License-Identifier: MIT
// PCI configuration space: ports 0xcf8/0xcfc for the first 256 bytes of segment 0, the memory window beyond [PCI 3.0, 3.2.2.3].
#include "abi/errno.hpp"
#include "arch/x86/mm/ioremap.hpp"
#include "base/sync/spinlock.hpp"
#include "core/port/pci.hpp"
#include "cpu/mmio.hpp"
#include "cpu/port_io.hpp"
#include "init/hypervisor.hpp"

namespace xylem::port {
namespace {

constinit Spinlock ports_lock;

constexpr u16 address_port = 0xcf8, data_port = 0xcfc;
constexpr u32 enable = 1U << 31;

u32 all_ones(u32 width) {
    return width == 4 ? ~0U : (1U << (8 * width)) - 1;
}

u32 address_word(Sbdf d, u32 reg) {
    return enable | (u32{d.bus()} << 16) | (u32{d.devfn()} << 8) | (reg & 0xfc);
}

// One window per ECAM range, mapped when it is first needed.
volatile void* window_of(Sbdf d, u32 reg, usize& offset) {
    static constinit std::array<volatile void*, acpi::max_ecam_ranges> windows{};
    static constinit Spinlock lock;
    const auto& ranges = hypervisor().platform.ecam;
    for (usize i = 0; i < ranges.size(); ++i) {
        const acpi::EcamRange& r = ranges[i];
        if (r.segment != d.segment() || d.bus() < r.first_bus || d.bus() > r.last_bus) continue;
        IrqGuard g(lock);
        const u64 start = r.address.raw + (u64{r.first_bus} << 20);
        if (windows[i] == nullptr) windows[i] = ioremap_uncached(Maddr(start), (u64{r.last_bus} - r.first_bus + 1) << 20);
        offset = (usize{d.bus()} - r.first_bus) << 20 | usize{d.devfn()} << 12 | reg;
        return windows[i];
    }
    return nullptr;
}

}  // namespace

u32 pci_config_read(Sbdf d, u32 reg, u32 width) {
    if (d.segment() == 0 && reg < 256) {
        IrqGuard g(ports_lock);
        cpu::out32(address_port, address_word(d, reg));
        const u16 port = static_cast<u16>(data_port + (reg & 3));
        return width == 1 ? cpu::in8(port) : width == 2 ? cpu::in16(port) : cpu::in32(port);
    }
    usize offset = 0;
    volatile void* window = window_of(d, reg, offset);
    if (window == nullptr) return all_ones(width);
    const u32 word = cpu::mmio_read32(window, offset & ~usize{3});
    return (word >> (8 * (offset & 3))) & all_ones(width);
}

void pci_config_write(Sbdf d, u32 reg, u32 width, u32 value) {
    if (d.segment() == 0 && reg < 256) {
        IrqGuard g(ports_lock);
        cpu::out32(address_port, address_word(d, reg));
        const u16 port = static_cast<u16>(data_port + (reg & 3));
        if (width == 1) {
            cpu::out8(port, static_cast<u8>(value));
        } else if (width == 2) {
            cpu::out16(port, static_cast<u16>(value));
        } else {
            cpu::out32(port, value);
        }
        return;
    }
    usize offset = 0;
    volatile void* window = window_of(d, reg, offset);
    if (window == nullptr) return;
    u8 volatile* at = static_cast<u8 volatile*>(window) + offset;
    if (width == 1) {
        *at = static_cast<u8>(value);
    } else if (width == 2) {
        *reinterpret_cast<u16 volatile*>(at) = static_cast<u16>(value);
    } else {
        cpu::mmio_write32(window, offset, value);
    }
}

volatile void* map_device_memory(Maddr start, u64 bytes) {
    return ioremap_uncached(start, bytes);
}

Result<> confirm_ecam(Maddr address, u16 segment, u8 first_bus, u8 last_bus, bool) {
    for (const acpi::EcamRange& r : hypervisor().platform.ecam)
        if (r.address == address && r.segment == segment && r.first_bus <= first_bus && r.last_bus >= last_bus) return {};
    return fail(XEN_ENODEV);
}

}  // namespace xylem::port
