// SPDX-License-Identifier: MIT
// Finds the kernel inside a boot module. The module's bytes are hostile: every number read from them is range-checked.
#pragma once

#include <span>

#include "init/dom0/image/error.hpp"

namespace xylem::image {

enum class Format : u8 { elf, gzip, xz, zstd, lz4, lzma };

// A longer image than this is a damaged length field, not a kernel (bytes).
inline constexpr u64 longest_image = 1024 * mib;

struct Payload {
    Format format;
    std::span<const u8> bytes;  // a part of the module; the length word behind an xz, zstd, lz4 or lzma payload is cut off
    u64 unpacked_size;          // bytes, 1 .. longest_image, as the module claims; unpack() verifies it
};

// Accepts a bzImage (boot protocol 2.08 or later), an ELF file as it is, and a gzip'd ELF file.
// Errors: not_a_kernel, truncated, corrupt, unsupported (a compression we do not read).
ImageResult<Payload> find_payload(std::span<const u8> module);

}  // namespace xylem::image
