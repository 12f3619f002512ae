// SPDX-License-Identifier: MIT
#include "core/pci/config_filter.hpp"

#include "core/domain/domain.hpp"
#include "core/pci/capability.hpp"
#include "core/pci/device.hpp"

namespace xylem::pci {
namespace {

constexpr u32 cf8_enable = 1u << 31;

Sbdf device_of(u32 cf8) {
    return Sbdf(0, static_cast<u8>(cf8 >> 16), static_cast<u8>(cf8 >> 8));
}
// Bits 24..27 are AMD's way to the extended space; other machines ignore them, and so do dom0's kernels there.
u32 register_of(u32 cf8, u32 offset) {
    return (cf8 & 0xfc) | (cf8 >> 16 & 0xf00) | offset;
}

bool overlaps(u32 reg, u32 width, u32 start, u32 size) {
    return reg < start + size && start < reg + width;
}

// Dom0 switches MSI-X on and off and masks all of it: the latter is its right, the former is done by us.
void write_msix_control(Device& d, u32 reg, u32 width, u32 value) XYLEM_REQUIRES(d.lock) {
    // The control's upper byte has all that can be written; it may come with its neighbours.
    const u32 high_byte_at = d.msix_at + msix::control + 1u;
    if (!overlaps(reg, width, high_byte_at, 1)) return;
    const u32 high = value >> (high_byte_at - reg) * 8 & 0xff;
    d.guest_mask_all = (high << 8 & msix::control_mask_all) != 0;
    const u32 mask_all = d.guest_mask_all || d.host_mask_all ? msix::control_mask_all : 0;
    port::pci_config_write(d.sbdf, d.msix_at + msix::control, 2, msix::control_enable | mask_all);
}

// True where the write is dealt with.
bool filtered(Device& d, u32 reg, u32 width, u32 value) {
    if (d.read_only.load(std::memory_order_relaxed)) return true;
    IrqGuard guard(d.lock);
    if (d.entries == nullptr) return false;
    if (d.entries->is_msix) {
        if (!overlaps(reg, width, d.msix_at + msix::control, 2)) return false;
        write_msix_control(d, reg, width, value);
        return true;
    }
    const u32 size = msi::size(d.msi_has_64_bits, d.msi_maskable) - msi::control;
    return overlaps(reg, width, d.msi_at + msi::control, size);
}

}  // namespace

Result<u32> guest_config_read(Domain& domain, u32 cf8, u32 offset, u32 width) {
    if (!domain.is_hardware_domain) return fail(XEN_EPERM);
    if ((cf8 & cf8_enable) == 0) return ~u32{0} >> (32 - 8 * width);
    return port::pci_config_read(device_of(cf8), register_of(cf8, offset), width);
}

Result<> guest_config_write(Domain& domain, u32 cf8, u32 offset, u32 width, u32 value) {
    if (!domain.is_hardware_domain) return fail(XEN_EPERM);
    if ((cf8 & cf8_enable) == 0) return {};
    const u32 reg = register_of(cf8, offset);
    Device* device = any_device(device_of(cf8));
    if (device != nullptr && filtered(*device, reg, width, value)) return {};
    port::pci_config_write(device_of(cf8), reg, width, value);
    return {};
}

}  // namespace xylem::pci
