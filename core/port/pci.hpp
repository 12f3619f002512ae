// SPDX-License-Identifier: MIT
// The contract: PCI configuration space and device memory.
#pragma once

#include "abi/errno.hpp"
#include "base/types.hpp"

namespace xylem {

// A PCI function: segment, bus, device and function.
struct Sbdf {
    u32 raw = 0;

    constexpr Sbdf() = default;
    constexpr explicit Sbdf(u32 r) : raw(r) {}
    constexpr Sbdf(u16 segment, u8 bus, u8 devfn) : raw(u32{segment} << 16 | u32{bus} << 8 | devfn) {}
    constexpr u16 segment() const { return static_cast<u16>(raw >> 16); }
    constexpr u8 bus() const { return static_cast<u8>(raw >> 8); }
    constexpr u8 devfn() const { return static_cast<u8>(raw); }
    constexpr auto operator<=>(const Sbdf&) const = default;
};

}  // namespace xylem

namespace xylem::port {

// `reg` < 4096, a multiple of `width` (1, 2 or 4). Nobody there, or no way to that segment or register: reads give all ones,
// writes go nowhere. Any context.
u32 pci_config_read(Sbdf device, u32 reg, u32 width);
void pci_config_write(Sbdf device, u32 reg, u32 width, u32 value);

// Device memory, uncached. For ever: callers keep what they got. Interrupts on. Null when there is no room.
volatile void* map_device_memory(Maddr start, u64 bytes);

// Dom0's firmware interpreter says whether an ECAM range is backed by a reservation (PHYSDEVOP_pci_mmcfg_reserved).
// XEN_ENODEV: firmware's table has no such range.
Result<> confirm_ecam(Maddr address, u16 segment, u8 first_bus, u8 last_bus, bool reserved);

}  // namespace xylem::port
