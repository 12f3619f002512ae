// SPDX-License-Identifier: MIT
// What dom0 may learn from the firmware through us [ABI.md 1.6, T26].
#pragma once

#include "abi/errno.hpp"
#include "abi/xen.hpp"

namespace xylem {

// The BIOS's record of shift and lock keys.
u8 keyboard_shift_flags();

// XEN_ENOSYS where the machine was not started by EFI.
Result<> efi_info(xenpf_firmware_info& info);
Result<> efi_runtime_call(xenpf_efi_runtime_call& call);

}  // namespace xylem
