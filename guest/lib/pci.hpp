// SPDX-License-Identifier: MIT
// PCI devices of dom0: configuration through ports 0xcf8 and 0xcfc, BARs, MSI-X.
#pragma once

#include <optional>

#include "base/result.hpp"
#include "base/types.hpp"

namespace xylem::pci {

struct Device {
    u8 bus = 0, devfn = 0;
    u16 vendor = 0, id = 0;
    u32 class_code = 0;  // class, subclass, interface
    u8 pin = 0;          // 1 to 4: A to D; 0: none
};

// Before anything else: I/O privilege for the kernel.
Result<> start();

u32 read(const Device& d, u8 reg);
void write(const Device& d, u8 reg, u32 value);
// A capability's control word: the hypervisor refuses wider writes that touch the MSI capabilities.
u16 read16(const Device& d, u8 reg);
void write16(const Device& d, u8 reg, u16 value);

// On bus 0.
std::optional<Device> probe(u8 bus, u8 devfn);
// Tells the hypervisor of the device, which it wants to hear before an MSI.
long announce(const Device& d);
std::optional<Device> find_class(u32 class_code);
std::optional<Device> find_id(u16 vendor, u16 id);

u64 bar(const Device& d, unsigned number);
void enable(const Device& d);  // memory and bus mastering
u8 find_capability(const Device& d, u8 id);

// Where a pin of a root-bus device arrives on this chipset. The AML that would tell is not interpreted: these are the fixed wires
// of the ICH9, whose devices 0 to 24 share lines 20 to 23.
u32 gsi_of(const Device& d);

}  // namespace xylem::pci
