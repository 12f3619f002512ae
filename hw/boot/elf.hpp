// SPDX-License-Identifier: MIT
// ELF-64 layouts [System V ABI, chapters 4 and 5; x86-64 psABI].
#pragma once

#include "base/types.hpp"

namespace xylem::boot::elf {

struct Header {
    u8 ident[16];
    u16 type;
    u16 machine;
    u32 version;
    u64 entry;
    u64 phoff;
    u64 shoff;
    u32 flags;
    u16 ehsize;
    u16 phentsize;
    u16 phnum;
    u16 shentsize;
    u16 shnum;
    u16 shstrndx;
};
static_assert(sizeof(Header) == 64);

struct ProgramHeader {
    u32 type;
    u32 flags;
    u64 offset;
    u64 vaddr;
    u64 paddr;
    u64 filesz;
    u64 memsz;
    u64 align;
};
static_assert(sizeof(ProgramHeader) == 56);

struct SectionHeader {
    u32 name;
    u32 type;
    u64 flags;
    u64 addr;
    u64 offset;
    u64 size;
    u32 link;
    u32 info;
    u64 addralign;
    u64 entsize;
};
static_assert(sizeof(SectionHeader) == 64);

// Followed by the owner's name and the description, each padded to the note's alignment.
struct NoteHeader {
    u32 namesz;
    u32 descsz;
    u32 type;
};
static_assert(sizeof(NoteHeader) == 12);

inline constexpr u8 magic[4] = {0x7f, 'E', 'L', 'F'};
inline constexpr usize ident_class = 4, ident_data = 5, ident_version = 6;
inline constexpr u8 class_64 = 2, data_little_endian = 1, version_current = 1;
inline constexpr u16 type_exec = 2, type_dyn = 3;
inline constexpr u16 machine_x86_64 = 62;
inline constexpr u32 segment_load = 1, segment_note = 4;
inline constexpr u32 section_note = 7;

}  // namespace xylem::boot::elf
