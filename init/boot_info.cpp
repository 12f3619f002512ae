// SPDX-License-Identifier: MIT
#include "init/boot_info.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/text/parse.hpp"

namespace xylem {

std::string_view BootInfo::without_file_name(std::string_view line) const {
    if (!multiboot2 && !loader.starts_with("GRUB 2")) text::take_word(line);
    return line.substr(std::min(line.find_first_not_of(' '), line.size()));
}

void BootInfo::limit_ram(u64 end) {
    u64 needed = 0;
    for (usize i = 0; i < module_count; ++i) needed = std::max(needed, modules[i].start.raw + modules[i].bytes);
    if (end < needed)
        log::warning("mem={}K: what the boot loader put into memory ends at {} KiB only; that is the limit", end / kib,
                     needed / kib);
    end = align_up(std::max(end, needed), page_size);
    for (usize i = 0; i < range_count; ++i) {
        MemoryRange& r = ranges[i];
        if (r.kind != MemoryKind::ram || r.end() <= end) continue;
        if (r.start < end && range_count == max_ranges) {
            log::warning("mem= has no effect on RAM at {:#x}: the memory map is full", r.start);
            continue;
        }
        if (r.start < end) {
            std::copy_backward(&ranges[i], &ranges[range_count], &ranges[range_count + 1]);
            ++range_count;
            ranges[i].bytes = end - ranges[i].start;
            ++i;
            ranges[i] = {.start = end, .bytes = ranges[i].end() - end};
        }
        ranges[i].kind = MemoryKind::reserved;
    }
}

}  // namespace xylem
