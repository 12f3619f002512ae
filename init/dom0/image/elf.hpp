// SPDX-License-Identifier: MIT
// An ELF-64 x86-64 program (EXEC or DYN) as a checked view of bytes. Nothing is copied; the bytes must outlive the view.
#pragma once

#include <span>
#include <string_view>

#include "hw/boot/elf.hpp"
#include "init/dom0/image/bytes.hpp"
#include "init/dom0/image/error.hpp"

namespace xylem::image {

using Segment = boot::elf::ProgramHeader;

class ElfImage {
   public:
    // After success: all program headers lie inside the bytes; of each PT_LOAD the file part lies inside the bytes, filesz <=
    // memsz, paddr + memsz < longest_paddr, and no two PT_LOADs share a byte of paddr space; there is at least one non-empty
    // PT_LOAD. Errors: not_a_kernel, truncated, corrupt, unsupported.
    static ImageResult<ElfImage> parse(std::span<const u8> bytes);

    u64 entry() const { return header_.entry; }
    unsigned segment_count() const { return header_.phnum; }
    // Precondition: index < segment_count().
    Segment segment(unsigned index) const { return read_at<Segment>(bytes_, header_.phoff + u64{index} * sizeof(Segment)); }
    // Precondition: `s` is a PT_LOAD of this image.
    std::span<const u8> file_part(const Segment& s) const { return bytes_.subspan(s.offset, s.filesz); }

    // The span of all PT_LOADs, by p_paddr (bytes; end is exclusive).
    u64 paddr_start() const { return paddr_start_; }
    u64 paddr_end() const { return paddr_end_; }

    // Calls visit(const Segment&) for each PT_LOAD that occupies memory, in the order of the table.
    template <class Visit>
    void for_each_load(Visit&& visit) const {
        for (unsigned i = 0; i < segment_count(); ++i)
            if (const Segment s = segment(i); s.type == boot::elf::segment_load && s.memsz != 0) visit(s);
    }

    // Calls visit(owner, type, description) -> ImageResult<> for each note of the PT_NOTE segments, then, if those held none that
    // `visit` cared for, the caller may ask for the note sections. Stops at the first error.
    template <class Visit>
    ImageResult<> for_each_segment_note(Visit&& visit) const;
    template <class Visit>
    ImageResult<> for_each_section_note(Visit&& visit) const;

    static constexpr u64 longest_paddr = u64{1} << 40;
    static constexpr unsigned most_segments = 128;

   private:
    ElfImage(std::span<const u8> bytes, const boot::elf::Header& header) : bytes_(bytes), header_(header) {}
    ImageResult<> check_segments();
    ImageResult<> check_overlaps() const;

    std::span<const u8> bytes_;
    boot::elf::Header header_;
    u64 paddr_start_ = 0;
    u64 paddr_end_ = 0;
};

struct Note {
    std::string_view owner;  // without its terminating zero
    u32 type;
    std::span<const u8> description;
};

// Takes the notes of one segment or section apart, one per call.
class NoteCursor {
   public:
    NoteCursor(std::span<const u8> notes, u64 align) : rest_(notes), align_(align == 8 ? 8 : 4) {}
    bool done() const { return rest_.empty(); }
    // Errors: corrupt (a note that leaves its segment).
    ImageResult<Note> next();

   private:
    std::span<const u8> rest_;
    u64 align_;
};

namespace detail {
template <class Visit>
ImageResult<> visit_notes(std::span<const u8> notes, u64 align, Visit&& visit) {
    for (NoteCursor cursor(notes, align); !cursor.done();) {
        const Note note = TRY(cursor.next());
        TRY(visit(note));
    }
    return {};
}
}  // namespace detail

template <class Visit>
ImageResult<> ElfImage::for_each_segment_note(Visit&& visit) const {
    for (unsigned i = 0; i < segment_count(); ++i) {
        const Segment s = segment(i);
        if (s.type != boot::elf::segment_note) continue;
        if (!range_fits(s.offset, s.filesz, bytes_.size()))
            return image_fail(ImageFault::truncated, "the ELF file ends before its notes do");
        TRY(detail::visit_notes(bytes_.subspan(s.offset, s.filesz), s.align, visit));
    }
    return {};
}

template <class Visit>
ImageResult<> ElfImage::for_each_section_note(Visit&& visit) const {
    using boot::elf::SectionHeader;
    if (header_.shnum == 0 || header_.shentsize != sizeof(SectionHeader)) return {};
    if (!range_fits(header_.shoff, u64{header_.shnum} * sizeof(SectionHeader), bytes_.size()))
        return image_fail(ImageFault::truncated, "the ELF file ends before its section headers do");
    for (unsigned i = 0; i < header_.shnum; ++i) {
        const auto s = read_at<SectionHeader>(bytes_, header_.shoff + u64{i} * sizeof(SectionHeader));
        if (s.type != boot::elf::section_note) continue;
        if (!range_fits(s.offset, s.size, bytes_.size()))
            return image_fail(ImageFault::truncated, "the ELF file ends before its note sections do");
        TRY(detail::visit_notes(bytes_.subspan(s.offset, s.size), s.addralign, visit));
    }
    return {};
}

}  // namespace xylem::image
