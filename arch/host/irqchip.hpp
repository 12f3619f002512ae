// SPDX-License-Identifier: MIT
// Interrupt hardware of host tests: records what it was told.
#pragma once

#include <map>
#include <set>

#include "core/port/irqchip.hpp"

namespace xylem::host {

struct Irqchip {
    struct Pin {
        u8 vector = 0;
        CpuId cpu;
        InterruptMode mode;
        bool masked = true;
    };
    u32 gsis = 24;
    std::map<u32, Pin> pins;
    std::map<u32, InterruptMode> firmware;  // what firmware says; pci_mode from GSI 16 on otherwise
    std::set<u8> vectors;                   // given out
    u32 ends = 0;                           // end_of_interrupt() calls
    bool no_vectors = false;
};
inline Irqchip irqchip;

}  // namespace xylem::host
