// SPDX-License-Identifier: MIT
#include "arch/x86/mm/device_frames.hpp"

#include <array>
#include <span>

#include "base/panic.hpp"
#include "core/domain/domain.hpp"
#include "core/pci/device.hpp"
#include "core/port/io_rights.hpp"

namespace xylem {
namespace {

struct FrameRange {
    u64 first, last;
};
constinit std::array<FrameRange, 64> denied{};
constinit usize denied_count = 0;
constinit std::array<FrameRange, 64> read_only{};
constinit usize protected_count = 0;

bool overlaps(std::span<const FrameRange> ranges, Mfn first, Mfn last) {
    for (const FrameRange& r : ranges)
        if (last.raw >= r.first && first.raw <= r.last) return true;
    return false;
}

}  // namespace

void protect_device_range(Maddr start, u64 bytes) {
    XYLEM_BUG_ON(protected_count == read_only.size());
    read_only[protected_count++] = {start.raw >> page_shift, (start.raw + bytes - 1) >> page_shift};
}

void deny_device_range(Maddr start, u64 bytes) {
    XYLEM_BUG_ON(denied_count == denied.size());
    denied[denied_count++] = {start.raw >> page_shift, (start.raw + bytes - 1) >> page_shift};
}

namespace port {

bool may_map_device_frames(const Domain& d, Mfn first, Mfn last) {
    return d.io.has_frames(first.raw, last.raw) && !overlaps({denied.data(), denied_count}, first, last);
}

bool is_read_only_device_frame(Mfn mfn) {
    return overlaps({read_only.data(), protected_count}, mfn, mfn) || pci::is_msix_frame(mfn);
}

bool may_choose_caching(const Domain& d) {
    return d.io.any();
}

}  // namespace port
}  // namespace xylem
