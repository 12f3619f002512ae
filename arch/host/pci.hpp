// SPDX-License-Identifier: MIT
// PCI devices of host tests: configuration space and memory that remember what was written.
#pragma once

#include <array>
#include <map>
#include <vector>

#include "core/port/pci.hpp"

namespace xylem::host {

struct PciFunction {
    std::array<u8, 4096> config{};
    u32 writes = 0;

    u32 get(u32 reg, u32 width) const {
        u32 value = 0;
        for (u32 i = 0; i < width; ++i) value |= u32{config[reg + i]} << 8 * i;
        return value;
    }
    void set(u32 reg, u32 width, u32 value) {
        for (u32 i = 0; i < width; ++i) config[reg + i] = static_cast<u8>(value >> 8 * i);
    }
};

struct Pci {
    std::map<u32, PciFunction> functions;    // by Sbdf::raw
    std::map<u64, std::vector<u32>> memory;  // by machine address, as mapped
    bool ecam_known = true;
};
inline Pci pci_bus;

}  // namespace xylem::host
