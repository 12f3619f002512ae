// SPDX-License-Identifier: MIT
// An unpacked kernel: parse, read the notes, load. The first byte chooses: 0 takes the rest as the whole image, others as changes
// to a good one.
#include "init/dom0/image/loader.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/unit/init/dom0/image_kernel.hpp"

using namespace xylem;
using namespace xylem::image;

namespace {

std::vector<u8> image_of(fuzz::Input in) {
    const u8 choice = in.byte();
    if (choice == 0) return {in.at, in.end};
    testing::KernelMaker maker;
    maker.text_size = 200;
    maker.data_segment.filesz = 100;
    maker.data_segment.memsz = 300;
    maker.text_segment.offset = 0x100;
    maker.notes_in_section = (choice & 1) != 0;
    std::vector<u8> image = maker.build();
    fuzz::spoil(image, in);
    return image;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
    const std::vector<u8> bytes = image_of({data, data + size});
    const auto elf = ElfImage::parse(bytes);
    if (!elf) return 0;
    (void)elf->for_each_section_note([](const Note&) -> ImageResult<> { return {}; });
    const auto kernel = parse_pv_kernel(*elf);
    if (!kernel) return 0;
    const u64 span = kernel->kernel_end - kernel->kernel_start;
    const u64 start = kernel->virt_base + kernel->kernel_start;
    if (kernel->entry < start || kernel->entry - start >= span) __builtin_trap();
    if (span > 16 * mib) return 0;
    static fuzz::Area area(16 * mib);
    const std::span<u8> memory = area.first(span);
    if (!load_segments(*elf, *kernel, ContiguousMemory(memory, kernel->kernel_start))) __builtin_trap();
    return 0;
}
