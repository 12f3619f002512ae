// SPDX-License-Identifier: MIT
// The firmware's runtime services, called where the firmware put them: in page tables of their own that map its runtime memory
// at its machine addresses. SetVirtualAddressMap is never called.
#pragma once

#include <span>

#include "abi/errno.hpp"
#include "hw/efi/tables.hpp"
#include "init/boot_info.hpp"

namespace xylem::efi {

// Boot, once memory can be allocated. Says in the log whether the services can be used. Nothing to do without EFI.
void prepare(const BootInfo& boot);

// Null where the machine was not started by EFI or its tables make no sense. In the direct map.
const SystemTable* system_table();
// Null where no service can be called.
const RuntimeServices* runtime_services();

// Calls the service at `entry` (an address from RuntimeServices). Pointers among the arguments are hypervisor addresses.
// One call at a time in the machine, interrupts off while it lasts; the guest's floating-point registers survive.
Status call(u64 entry, u64 a = 0, u64 b = 0, u64 c = 0, u64 d = 0, u64 e = 0);

// Returns only where the firmware does not do it.
void reset(Reset how);

}  // namespace xylem::efi
