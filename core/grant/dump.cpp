// SPDX-License-Identifier: MIT
// Debug key 'g'.
#include "base/text/format.hpp"
#include "core/grant/table.hpp"

namespace xylem::grant {
namespace {

u64 uses(u64 pins, u64 host, u64 device) {
    return (pins / host & pin::field) + (pins / device & pin::field);
}

}  // namespace

// A line for the table and one for each entry in use, up to a limit; nothing is written with a lock held.
void Table::dump(text::Sink& out) {
    constexpr u32 most_lines = 32;
    u32 used = 0;
    text::FixedText<160> summary;
    {
        Guard guard(lock_);
        used = in_use_;
        text::format(summary, "d{}: grant table version {}, frames {} of {}, entries in use {}", owner_.id, version_,
                     frame_count_, limits_.max_frames, used);
    }
    text::format(out, "{}; others' mapped {}, in a list of frames {} of {}\n", summary.view(), maptrack_.live(),
                 maptrack_.limit() / Maptrack::per_frame, limits_.max_maptrack_frames);
    u32 lines = 0;
    for (u32 ref = 0; lines < most_lines; ++ref) {
        text::FixedText<128> line;
        {
            Guard guard(lock_);
            if (ref >= entries()) return;
            const Active& a = active(ref);
            if (a.pins == 0) continue;
            text::format(line, "  {} used by d{}: reads {}, writes {}, ", ref, a.user,
                         uses(a.pins, pin::host_read, pin::device_read), uses(a.pins, pin::host_write, pin::device_write));
            if (a.kind == Grant::Kind::transitive)
                text::format(line, "entry {} of d{}\n", a.frame & ~u32{0}, a.frame >> 32);
            else
                text::format(line, "frame {:x}\n", a.frame);
        }
        out.write(line.view());
        ++lines;
    }
    if (used > lines) text::format(out, "  and {} more\n", used - lines);
}

void dump(Domain& domain, text::Sink& out) {
    if (domain.grants != nullptr) domain.grants->dump(out);
}

}  // namespace xylem::grant
