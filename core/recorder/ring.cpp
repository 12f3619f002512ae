// SPDX-License-Identifier: MIT
#include "core/recorder/ring.hpp"

#include <algorithm>

namespace xylem::recorder {

std::span<const Event> newest(const Ring& ring, std::span<Event> room) {
    const u64 end = ring.written.load(std::memory_order_relaxed) / sizeof(Event);
    const u64 count = std::min({end, u64{Ring::capacity}, u64{room.size()}});
    for (u64 i = 0; i < count; ++i) room[i] = ring.events[(end - count + i) % Ring::capacity];
    return room.first(count);
}

u64 newest_time(const Ring& ring) {
    const u64 end = ring.written.load(std::memory_order_relaxed) / sizeof(Event);
    for (u64 i = 1; i <= std::min(end, u64{Ring::capacity}); ++i)
        if (const Event& e = ring.events[(end - i) % Ring::capacity]; e.has_time()) return e.value;
    return 0;
}

}  // namespace xylem::recorder
