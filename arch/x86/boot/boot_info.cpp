// SPDX-License-Identifier: MIT
#include "init/boot_info.hpp"

#include <algorithm>

#include "cpu/layout.hpp"
#include "hw/efi/tables.hpp"

namespace xylem {
namespace {

constexpr u32 multiboot1_magic = 0x2badb002;
constexpr u32 multiboot2_magic = 0x36d76289;

struct Multiboot1 {
    u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
    u32 drives_length, drives_addr, config_table, loader_name, apm_table;
    u32 vbe[4];
    u64 framebuffer_addr;
    u32 framebuffer_pitch, framebuffer_width, framebuffer_height;
    u8 framebuffer_bpp, framebuffer_type, colors[6];
};
struct Multiboot1Module {
    u32 start, end, cmdline, reserved;
};
struct [[gnu::packed]] Multiboot1Map {
    u32 size;
    u64 address, length;
    u32 type;
};
struct Tag {
    u32 type, size;
};

template <class T>
const T* at(u64 machine) {
    return static_cast<const T*>(layout::direct_map(Maddr(machine)));
}

std::string_view keep(BootInfo& out, const char* text, usize limit) {
    usize n = 0;
    while (n < limit && text[n] != '\0') ++n;
    n = std::min(n, out.storage.size() - out.storage_used);
    char* to = out.storage.data() + out.storage_used;
    std::copy_n(text, n, to);
    out.storage_used += n;
    return {to, n};
}

void add_range(BootInfo& out, u64 start, u64 bytes, u32 type) {
    if (bytes == 0) return;
    if (type == 0 || type > 5) type = 2;
    // Neighbours of one kind are one line: EFI's map has hundreds.
    if (out.range_count > 0) {
        MemoryRange& last = out.ranges[out.range_count - 1];
        if (last.end() == start && static_cast<u32>(last.kind) == type) {
            last.bytes += bytes;
            return;
        }
    }
    if (out.range_count == BootInfo::max_ranges) {
        ++out.left_out;
        return;
    }
    out.ranges[out.range_count++] = {start, bytes, static_cast<MemoryKind>(type)};
}

void add_module(BootInfo& out, u64 start, u64 end, const char* text, usize limit) {
    if (out.module_count == BootInfo::max_modules || end <= start) return;
    out.modules[out.module_count++] = {Maddr(start), end - start, keep(out, text, limit)};
}

constexpr usize text_limit = 4096;

void read1(u32 information, BootInfo& out) {
    const auto& mb = *at<Multiboot1>(information);
    if ((mb.flags & (1U << 9)) != 0) out.loader = keep(out, at<char>(mb.loader_name), 64);
    if ((mb.flags & (1U << 2)) != 0) out.command_line = keep(out, at<char>(mb.cmdline), text_limit);
    if ((mb.flags & (1U << 6)) != 0) {
        for (u32 offset = 0; offset + sizeof(Multiboot1Map) <= mb.mmap_length;) {
            const auto& e = *at<Multiboot1Map>(mb.mmap_addr + offset);
            add_range(out, e.address, e.length, e.type);
            offset += e.size + 4;
        }
    } else if ((mb.flags & 1) != 0) {
        add_range(out, 0, u64{mb.mem_lower} * kib, 1);
        add_range(out, mib, u64{mb.mem_upper} * kib, 1);
    }
    if ((mb.flags & (1U << 3)) != 0) {
        for (u32 i = 0; i < mb.mods_count; ++i) {
            const auto& m = at<Multiboot1Module>(mb.mods_addr)[i];
            add_module(out, m.start, m.end, m.cmdline != 0 ? at<char>(m.cmdline) : "", text_limit);
        }
    }
}

void read_framebuffer_tag(const u8* p, BootInfo& out) {
    struct [[gnu::packed]] FramebufferTag {
        u32 type, size;
        u64 address;
        u32 pitch, width, height;
        u8 bits, kind;
        u16 reserved;
        u8 color[6];
    };
    const auto& t = *reinterpret_cast<const FramebufferTag*>(p);
    if (t.kind != 1 && t.kind != 2) return;
    Framebuffer& f = out.framebuffer;
    f = {true, t.kind == 2, t.address, t.pitch, t.width, t.height, t.bits};
    if (t.kind == 1 && t.size >= sizeof t) {
        f.red_position = t.color[0];
        f.red_size = t.color[1];
        f.green_position = t.color[2];
        f.green_size = t.color[3];
        f.blue_position = t.color[4];
        f.blue_size = t.color[5];
    }
}

void read_map_tag(const u8* p, u32 size, BootInfo& out) {
    const u32 entry_size = *reinterpret_cast<const u32*>(p + 8);
    if (entry_size < 24) return;
    for (u32 offset = 16; offset + entry_size <= size; offset += entry_size) {
        const u8* e = p + offset;
        add_range(out, *reinterpret_cast<const u64*>(e), *reinterpret_cast<const u64*>(e + 8),
                  *reinterpret_cast<const u32*>(e + 16));
    }
}

void read_efi_map_tag(const u8* p, u32 size, BootInfo& out) {
    const u32 entry_size = *reinterpret_cast<const u32*>(p + 8);
    if (entry_size < sizeof(efi::MemoryDescriptor)) return;
    for (u32 offset = 16; offset + entry_size <= size; offset += entry_size) {
        const auto& d = *reinterpret_cast<const efi::MemoryDescriptor*>(p + offset);
        if (out.efi_region_count == BootInfo::max_efi_regions) {
            ++out.left_out;
            continue;
        }
        out.efi_regions[out.efi_region_count++] = {d.physical_start, d.pages << page_shift, d.attributes, d.type};
    }
}

void read2(u32 information, BootInfo& out) {
    const u8* base = at<u8>(information);
    const u32 total = *reinterpret_cast<const u32*>(base);
    for (u32 offset = 8; offset + sizeof(Tag) <= total;) {
        const u8* p = base + offset;
        const Tag& tag = *reinterpret_cast<const Tag*>(p);
        const char* text = reinterpret_cast<const char*>(p);
        if (tag.size < sizeof(Tag)) return;
        switch (tag.type) {
            case 0: return;
            case 1: out.command_line = keep(out, text + 8, tag.size - 8); break;
            case 2: out.loader = keep(out, text + 8, tag.size - 8); break;
            case 3:
                add_module(out, *reinterpret_cast<const u32*>(p + 8), *reinterpret_cast<const u32*>(p + 12), text + 16,
                           tag.size - 16);
                break;
            case 6: read_map_tag(p, tag.size, out); break;
            case 8: read_framebuffer_tag(p, out); break;
            case 12: out.efi_system_table = *reinterpret_cast<const u64*>(p + 8); break;
            case 17: read_efi_map_tag(p, tag.size, out); break;
            case 14:
            case 15: {
                // The newer RSDP wins whichever comes first.
                if (tag.type == 14 && out.rsdp.raw != 0) break;
                const usize n = std::min<usize>(tag.size - 8, 64);
                out.storage_used = align_up(out.storage_used, usize{8});
                if (out.storage_used + n > out.storage.size()) break;
                char* to = out.storage.data() + out.storage_used;
                std::copy_n(text + 8, n, to);
                out.storage_used += n;
                out.rsdp = Maddr(reinterpret_cast<u64>(to) - layout::image_start);
                break;
            }
            default: break;
        }
        offset += align_up(tag.size, u32{8});
    }
}

}  // namespace

bool read_boot_info(u32 magic, u32 information, BootInfo& out) {
    if (magic == multiboot1_magic) {
        read1(information, out);
    } else if (magic == multiboot2_magic) {
        out.multiboot2 = true;
        read2(information, out);
    } else {
        return false;
    }
    std::sort(out.ranges.begin(), out.ranges.begin() + out.range_count,
              [](const MemoryRange& a, const MemoryRange& b) { return a.start < b.start; });
    return true;
}

}  // namespace xylem
