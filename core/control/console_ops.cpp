// SPDX-License-Identifier: MIT
#include "core/control/console_ops.hpp"

#include <algorithm>
#include <array>

#include "core/console/console.hpp"
#include "core/port/guest.hpp"
#include "core/port/preempt.hpp"

namespace xylem::control {

Result<> read_console(xen_sysctl_readconsole& op) {
    console::Console& console = console::the_console();
    const GuestPtr<char> buffer(op.buffer);
    std::array<char, 512> piece;
    u32 index = console.start_read(op.incremental != 0, op.index);
    u32 count = 0;
    while (count < op.count) {
        const u32 wanted = std::min<u32>(op.count - count, piece.size());
        const u32 got = static_cast<u32>(console.read_ring(index, std::span(piece).first(wanted)));
        if (got == 0) break;
        TRY(buffer.element(count).write_many(piece.data(), got));
        count += got;
        port::preemption_point();
    }
    if (op.clear != 0) console.clear_ring_to(index);
    op.count = count;
    op.index = index;
    return {};
}

Result<> press_debug_keys(const xen_sysctl_debug_keys& op) {
    const GuestPtr<char> keys(op.keys);
    for (u32 i = 0; i < op.nr_keys; ++i) {
        console::the_console().press_key(TRY(keys.element(i).read()));
        port::preemption_point();
    }
    return {};
}

}  // namespace xylem::control
