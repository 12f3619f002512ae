// SPDX-License-Identifier: MIT
// Device interrupts of dom0: lines and messages become pirqs of the hypervisor, pirqs event channels, and both a number of ours.
#pragma once

#include "base/result.hpp"
#include "guest/lib/pci.hpp"

namespace xylem::interrupts {

using Handler = void (*)(void* argument);

// A line: programs the I/O APIC's pin through the hypervisor. Level lines are shared and acknowledged after the handler.
Result<u32> connect_gsi(u32 gsi, bool level, bool low, Handler handler, void* argument);
Result<u32> connect_intx(const pci::Device& d, Handler handler, void* argument);
// One message: entry of the MSI-X table, or the only MSI.
Result<u32> connect_msix(const pci::Device& d, u32 entry, Handler handler, void* argument);
Result<u32> connect_msi(const pci::Device& d, Handler handler, void* argument);
Result<> disconnect(u32 irq);

// A handler that fires more often than this within one second is a storm: its port stays masked, and storms() counts it.
inline constexpr u32 storm_limit = 100'000;
u32 storms();
void set_storm_limit(u32 per_second);

}  // namespace xylem::interrupts
