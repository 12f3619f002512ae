// SPDX-License-Identifier: MIT
#include "arch/x86/mm/device_frames.hpp"

#include <array>

#include "base/panic.hpp"
#include "core/domain/domain.hpp"
#include "core/port/io_rights.hpp"

namespace xylem {
namespace {

struct FrameRange {
    u64 first, last;
};
constinit std::array<FrameRange, 64> denied{};
constinit usize denied_count = 0;

}  // namespace

void deny_device_range(Maddr start, u64 bytes) {
    XYLEM_BUG_ON(denied_count == denied.size());
    denied[denied_count++] = {start.raw >> page_shift, (start.raw + bytes - 1) >> page_shift};
}

namespace port {

bool may_map_device_frame(const Domain& d, Mfn mfn) {
    if (!d.is_hardware_domain) return false;
    for (usize i = 0; i < denied_count; ++i)
        if (mfn.raw >= denied[i].first && mfn.raw <= denied[i].last) return false;
    return true;
}

bool may_choose_caching(const Domain& d) { return d.is_hardware_domain; }

}  // namespace port
}  // namespace xylem
