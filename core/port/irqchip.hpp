// SPDX-License-Identifier: MIT
// The contract: the machine's interrupt hardware. A vector means the same interrupt on every CPU. Everything is callable with
// interrupts on or off and from interrupt handlers, if nothing else is said. The machine calls irq::on_vector() (core/irq).
#pragma once

#include "abi/errno.hpp"
#include "base/types.hpp"
#include "hw/acpi/interrupt_mode.hpp"

namespace xylem::port {

// --- vectors ------------------------------------------------------------------------------------------------------------
// `count` (a power of two <= 32) vectors in a row for devices, the first divisible by `count`. XEN_ENOSPC.
Result<u8> allocate_vectors(u32 count);
// Nothing raises them any more.
void release_vectors(u8 first, u32 count);
// This CPU's interrupt in service is over; from its handler.
void end_of_interrupt();

// --- GSIs -----------------------------------------------------------------------------------------------------------------
u32 gsi_end();  // one more than the highest GSI, at most 1024
bool gsi_exists(Gsi gsi);
// How firmware says that the line signals; isa_mode or pci_mode where it says nothing.
InterruptMode firmware_mode(Gsi gsi);
// The GSI raises `vector` on `cpu`. XEN_EINVAL: no such GSI, or it cannot reach that CPU.
Result<> route_gsi(Gsi gsi, u8 vector, CpuId cpu, InterruptMode mode, bool masked);
// A GSI that does not exist is left alone. Masking a level line keeps what is asserted for the time after unmasking.
void mask_gsi(Gsi gsi);
void unmask_gsi(Gsi gsi);

// --- message signalled interrupts --------------------------------------------------------------------------------------------
struct MsiMessage {
    u64 address = 0;
    u32 data = 0;
    constexpr bool operator==(const MsiMessage&) const = default;
};
// What a device has to write for `vector` on `cpu`. The following vectors of a block have the following data.
MsiMessage compose_msi(CpuId cpu, u8 vector);

// --- I/O APICs as PHYSDEVOP_apic_read shows them -------------------------------------------------------------------------------
// XEN_EINVAL: no such chip or register.
Result<u32> apic_read(u64 base, u32 reg);

}  // namespace xylem::port
