// SPDX-License-Identifier: MIT
// Bytes as an unpacked kernel: parse, read the notes, load.
#include <vector>

#include "init/dom0/image/loader.hpp"

using namespace xylem;
using namespace xylem::image;

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
    const std::vector<u8> bytes(data, data + size);
    const auto elf = ElfImage::parse(bytes);
    if (!elf) return 0;
    (void)elf->for_each_section_note([](const Note&) -> ImageResult<> { return {}; });
    const auto kernel = parse_pv_kernel(*elf);
    if (!kernel) return 0;
    const u64 span = kernel->kernel_end - kernel->kernel_start;
    const u64 start = kernel->virt_base + kernel->kernel_start;
    if (kernel->entry < start || kernel->entry - start >= span) __builtin_trap();
    if (span > 16 * mib) return 0;
    std::vector<u8> memory(span);
    if (!load_segments(*elf, *kernel, ContiguousMemory(memory, kernel->kernel_start))) __builtin_trap();
    return 0;
}
