// SPDX-License-Identifier: MIT
#include "init/dom0/image/elf.hpp"

#include <algorithm>

namespace xylem::image {

using enum ImageFault;
namespace layout = boot::elf;

ImageResult<ElfImage> ElfImage::parse(std::span<const u8> bytes) {
    if (bytes.size() < sizeof layout::magic || !std::equal(layout::magic, layout::magic + sizeof layout::magic, bytes.begin()))
        return image_fail(not_a_kernel, "the unpacked image is no ELF file");
    if (bytes.size() < sizeof(layout::Header)) return image_fail(truncated, "the ELF file ends inside its header");
    const auto h = read_at<layout::Header>(bytes, 0);
    if (h.ident[layout::ident_class] != layout::class_64 || h.ident[layout::ident_data] != layout::data_little_endian)
        return image_fail(unsupported, "the ELF file is not 64-bit little-endian: 32-bit PV kernels are not supported");
    if (h.ident[layout::ident_version] != layout::version_current || h.version != layout::version_current)
        return image_fail(corrupt, "the ELF file has an unknown ELF version");
    if (h.machine != layout::machine_x86_64) return image_fail(not_a_kernel, "the ELF file is not for x86-64");
    if (h.type != layout::type_exec && h.type != layout::type_dyn)
        return image_fail(not_a_kernel, "the ELF file is neither an executable nor position independent");
    if (h.phentsize != sizeof(Segment)) return image_fail(corrupt, "the ELF file's program headers have a wrong size");
    if (h.phnum == 0 || h.phnum > most_segments) return image_fail(corrupt, "the ELF file has no or too many program headers");
    if (!range_fits(h.phoff, u64{h.phnum} * sizeof(Segment), bytes.size()))
        return image_fail(truncated, "the ELF file ends before its program headers do");

    ElfImage image(bytes, h);
    TRY(image.check_segments());
    TRY(image.check_overlaps());
    return image;
}

ImageResult<> ElfImage::check_segments() {
    u64 lowest = longest_paddr, highest = 0;
    for (unsigned i = 0; i < segment_count(); ++i) {
        const Segment s = segment(i);
        if (s.type != layout::segment_load) continue;
        if (s.filesz > s.memsz) return image_fail(corrupt, "an ELF segment is longer in the file than in memory");
        if (!range_fits(s.offset, s.filesz, bytes_.size()))
            return image_fail(truncated, "the ELF file ends before its segments do");
        if (s.memsz == 0) continue;
        if (!range_fits(s.paddr, s.memsz, longest_paddr)) return image_fail(corrupt, "an ELF segment's address is out of range");
        lowest = std::min(lowest, s.paddr);
        highest = std::max(highest, s.paddr + s.memsz);
    }
    if (highest == 0) return image_fail(corrupt, "the ELF file has nothing to load");
    paddr_start_ = lowest;
    paddr_end_ = highest;
    return {};
}

ImageResult<> ElfImage::check_overlaps() const {
    for (unsigned i = 0; i < segment_count(); ++i) {
        const Segment a = segment(i);
        if (a.type != layout::segment_load || a.memsz == 0) continue;
        for (unsigned j = i + 1; j < segment_count(); ++j) {
            const Segment b = segment(j);
            if (b.type != layout::segment_load || b.memsz == 0) continue;
            if (a.paddr < b.paddr + b.memsz && b.paddr < a.paddr + a.memsz)
                return image_fail(contradictory, "two ELF segments want the same memory");
        }
    }
    return {};
}

ImageResult<Note> NoteCursor::next() {
    constexpr const char* bad = "an ELF note leaves its segment";
    if (rest_.size() < sizeof(layout::NoteHeader)) return image_fail(corrupt, bad);
    const auto h = read_at<layout::NoteHeader>(rest_, 0);
    // namesz and descsz are 32-bit: none of these sums can wrap.
    const u64 description_at = align_up(sizeof(h) + u64{h.namesz}, align_);
    const u64 end = description_at + h.descsz;
    if (sizeof(h) + u64{h.namesz} > rest_.size() || (h.descsz != 0 && end > rest_.size())) return image_fail(corrupt, bad);

    Note note{{}, h.type, {}};
    if (h.namesz != 0) {
        const std::string_view name(reinterpret_cast<const char*>(rest_.data() + sizeof h), h.namesz);
        note.owner = name.substr(0, name.find('\0'));
    }
    if (h.descsz != 0) note.description = rest_.subspan(description_at, h.descsz);
    // The last note's padding may be missing.
    rest_ = rest_.subspan(std::min<u64>(align_up(end, align_), rest_.size()));
    return note;
}

}  // namespace xylem::image
