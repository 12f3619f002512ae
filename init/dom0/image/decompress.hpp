// SPDX-License-Identifier: MIT
// Unpacks a kernel with Debian's static liblzma, libzstd, libz and liblz4.
//
// Contract of every function here in the hypervisor, because the libraries are ordinary user-space objects:
//  - SSE is usable: CR0.EM = 0, CR0.MP = 1, CR0.TS = 0, CR4.OSFXSR = 1, CR4.OSXMMEXCPT = 1. XMM registers are clobbered.
//  - the FS base points at 64 or more readable bytes that do not change: the stack protector reads %fs:0x28;
//  - interrupts are off and NMI, #MC and #DF run on their own IST stacks: the libraries use the red zone below RSP;
//  - at least 16 KiB of stack are left; the stack is 16-byte aligned as the psABI wants;
//  - one CPU at a time. There is no global state; arch/x86/boot/libc_shim.cpp supplies the C library's symbols.
#pragma once

#include "init/dom0/image/bzimage.hpp"
#include "init/dom0/image/scratch.hpp"

namespace xylem::image {

// Bytes of scratch that unpack() needs for this payload, the window of xz and lzma included (at most unpacked_size + 512 KiB).
// A payload too damaged to tell gets the minimum; unpack() then says what is wrong with it.
u64 scratch_bytes(const Payload& payload);

// Unpacks `in` into `out` and answers the number of bytes written. The scratch is reset first. `out` must not overlap `in`.
// Checks (CRC32, CRC64, SHA-256, Adler, xxHash) are verified. Format::elf copies.
// Errors: truncated, corrupt, unsupported, no_memory (scratch); corrupt if `out` is too small.
ImageResult<usize> decompress(Format format, std::span<const u8> in, std::span<u8> out, Scratch& scratch);

// As decompress(), and the payload must fill exactly payload.unpacked_size bytes, which `out` must have room for.
ImageResult<std::span<u8>> unpack(const Payload& payload, std::span<u8> out, Scratch& scratch);

// decompress() for one .xz stream, and its part of scratch_bytes().
ImageResult<usize> decompress_xz(std::span<const u8> in, std::span<u8> out, Scratch& scratch);
u64 xz_window(std::span<const u8> in);

}  // namespace xylem::image
