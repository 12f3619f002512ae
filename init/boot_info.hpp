// SPDX-License-Identifier: MIT
// What the boot loader told us, in one plain form. Nobody after this parses boot protocols.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "base/types.hpp"

namespace xylem {

enum class MemoryKind : u32 { ram = 1, reserved = 2, acpi = 3, nvs = 4, unusable = 5 };  // E820 numbers

struct MemoryRange {
    u64 start = 0;  // machine address
    u64 bytes = 0;
    MemoryKind kind = MemoryKind::reserved;
    u64 end() const { return start + bytes; }
};

struct BootModule {
    Maddr start{};
    u64 bytes = 0;
    std::string_view command_line;
};

struct Framebuffer {
    bool present = false;
    bool text = false;
    u64 address = 0;
    u32 pitch = 0, width = 0, height = 0;
    u8 bits_per_pixel = 0;
    u8 red_position = 0, red_size = 0, green_position = 0, green_size = 0, blue_position = 0, blue_size = 0;
};

// A line of the firmware's own memory map [UEFI 2.10, 7.2].
struct EfiRegion {
    u64 start = 0;  // machine address
    u64 bytes = 0;
    u64 attributes = 0;
    u32 type = 0;
};

struct BootInfo {
    static constexpr usize max_ranges = 256;
    static constexpr usize max_modules = 8;

    std::string_view loader = "unknown";
    std::string_view command_line;
    bool multiboot2 = false;
    std::array<MemoryRange, max_ranges> ranges{};
    usize range_count = 0;
    std::array<BootModule, max_modules> modules{};
    usize module_count = 0;
    Maddr rsdp{};              // copy of the RSDP in the loader's tags, or 0: search low memory
    u64 efi_system_table = 0;  // machine address, 0 = not started by EFI
    static constexpr usize max_efi_regions = 384;
    std::array<EfiRegion, max_efi_regions> efi_regions{};
    usize efi_region_count = 0;
    usize left_out = 0;  // lines of either memory map that found no room here
    Framebuffer framebuffer;

    std::span<const MemoryRange> memory() const { return {ranges.data(), range_count}; }
    std::span<const EfiRegion> efi_memory() const { return {efi_regions.data(), efi_region_count}; }
    // A command line without the file's name, which QEMU and GRUB Legacy (multiboot 1) put before it; GRUB 2 does not.
    std::string_view without_file_name(std::string_view line) const;
    // RAM from `end` on becomes reserved, as option mem= wants it. The modules stay RAM: a warning tells of a later end.
    void limit_ram(u64 end);
    // Strings and the RSDP copy live here, because the loader's own memory is given away.
    std::array<char, 8192> storage{};
    usize storage_used = 0;
};

// Fills `out` from the loader's registers at entry. False where the magic is not Multiboot's.
// Reads the loader's structures through the direct map (first 4 GiB). [Multiboot 0.6.96, Multiboot2 2.0]
bool read_boot_info(u32 magic, u32 information, BootInfo& out);

}  // namespace xylem
