// SPDX-License-Identifier: MIT
// Linux/x86 boot protocol: the fields of a bzImage that lead to its payload [Documentation/arch/x86/boot.rst].
// The setup header sits in the first sectors of the file; all numbers are little-endian.
#pragma once

#include "base/types.hpp"

namespace xylem::boot::bzimage {

inline constexpr usize sector_size = 512;

// Byte offsets in the file.
inline constexpr usize setup_sects_at = 0x1f1;     // u8: sectors of setup code behind the boot sector
inline constexpr usize boot_flag_at = 0x1fe;       // u16
inline constexpr usize magic_at = 0x202;           // u32
inline constexpr usize version_at = 0x206;         // u16: major in the high byte
inline constexpr usize loadflags_at = 0x211;       // u8
inline constexpr usize payload_offset_at = 0x248;  // u32: from the start of the protected-mode code
inline constexpr usize payload_length_at = 0x24c;  // u32
inline constexpr usize header_end = 0x250;

inline constexpr u16 boot_flag = 0xaa55;
inline constexpr u32 magic = 0x53726448;           // "HdrS"
inline constexpr u16 first_with_payload = 0x0208;  // payload_offset and payload_length exist since 2.08
inline constexpr u8 setup_sects_if_zero = 4;       // a zero in setup_sects means four, for very old kernels

}  // namespace xylem::boot::bzimage
