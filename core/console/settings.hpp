// SPDX-License-Identifier: MIT
// How the console behaves: plain values that init fills from the command line.
#pragma once

#include <optional>
#include <string_view>

#include "base/log.hpp"
#include "base/types.hpp"

namespace xylem::console {

// Which messages are printed. The numbers say how many of the levels error, warning, info, debug are included (0 .. 4):
// levels below `always` are printed, those from there to below `limited` at a limited rate, the others not at all.
struct Thresholds {
    u8 always = 0;
    u8 limited = 0;

    constexpr bool shows(log::Level level) const { return static_cast<u8>(level) < limited; }
    constexpr bool rate_limits(log::Level level) const { return static_cast<u8>(level) >= always; }
    constexpr bool operator==(const Thresholds&) const = default;
};

// "warning" or "warning/info" (always/rate-limited); names: none, error, warning, info, debug, all.
std::optional<Thresholds> parse_thresholds(std::string_view s);

enum class Timestamps : u8 {
    none,
    date,           // [2026-01-31 23:59:59]
    date_and_msec,  // [2026-01-31 23:59:59.123]
    boot,           // [    1.234567] seconds since the hypervisor started
    raw,            // [0000001234567890] the clock's own count
};

struct Settings {
    Thresholds log{3, 3};
    Thresholds guest_log{0, 2};
    Timestamps timestamps = Timestamps::none;
    char switch_letter = 'a';     // three times Ctrl and this letter moves serial input; 0: input stays where it is
    bool switch_at_start = true;  // serial input goes to dom0 when dom0 starts
    bool guest_to_ring = false;   // dom0's own console output is kept in the ring, too
};

// Where times come from. A null function is a clock that is not there yet.
struct Clocks {
    Nanos (*since_boot)() = nullptr;
    i64 (*unix_nanos)() = nullptr;  // nanoseconds since 1970, UTC
    u64 (*raw)() = nullptr;
};

// What the console tells the rest of the hypervisor. Called in any context but never with the console's lock held.
// Neither function may log: the message would call it again.
class Events {
   public:
    virtual void input_ready() = 0;  // characters for dom0 wait: raise VIRQ_CONSOLE
    virtual void ring_grew() = 0;    // first text since the ring was last read: raise VIRQ_CON_RING

   protected:
    ~Events() = default;
};

}  // namespace xylem::console
