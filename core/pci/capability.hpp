// SPDX-License-Identifier: MIT
// Configuration header and the MSI and MSI-X capabilities [PCI Local Bus 3.0, 6.1, 6.7, 6.8].
#pragma once

#include "base/types.hpp"

namespace xylem::pci {

inline constexpr u32 reg_command = 0x04;
inline constexpr u32 reg_status = 0x06;
inline constexpr u32 reg_header_type = 0x0e;
inline constexpr u32 reg_bar0 = 0x10;
inline constexpr u32 reg_capabilities = 0x34;

inline constexpr u32 command_memory = 1u << 1;
inline constexpr u32 status_capabilities = 1u << 4;
inline constexpr u32 bar_io = 1u << 0;
inline constexpr u32 bar_64 = 2u << 1;
inline constexpr u32 bar_type_mask = 3u << 1;
inline constexpr u32 bar_memory_mask = ~u32{0xf};

inline constexpr u8 capability_msi = 0x05;
inline constexpr u8 capability_msix = 0x11;

namespace msi {
inline constexpr u32 control = 2, address = 4, address_high = 8;
constexpr u32 data(bool bits64) {
    return bits64 ? 0xc : 0x8;
}
constexpr u32 mask(bool bits64) {
    return bits64 ? 0x10 : 0xc;
}
// Bytes of the capability.
constexpr u32 size(bool bits64, bool maskable) {
    return maskable ? mask(bits64) + 8 : data(bits64) + 2;
}
inline constexpr u32 control_enable = 1u << 0;
inline constexpr u32 control_capable_shift = 1, control_enabled_shift = 4;
inline constexpr u32 control_enabled_mask = 7u << control_enabled_shift;
inline constexpr u32 control_64 = 1u << 7;
inline constexpr u32 control_maskable = 1u << 8;
}  // namespace msi

namespace msix {
inline constexpr u32 control = 2, table = 4, pending = 8;
inline constexpr u32 control_size_mask = 0x7ff;
inline constexpr u32 control_mask_all = 1u << 14;
inline constexpr u32 control_enable = 1u << 15;
inline constexpr u32 bar_mask = 7;
inline constexpr u32 entry_words = 4;  // address, address high, data, vector control
inline constexpr u32 entry_bytes = 16;
inline constexpr u32 entry_masked = 1;
}  // namespace msix

}  // namespace xylem::pci
