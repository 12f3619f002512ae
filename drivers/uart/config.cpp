// SPDX-License-Identifier: MIT
#include "drivers/uart/config.hpp"

#include "base/text/parse.hpp"

namespace xylem::uart {
namespace {

constexpr u32 lowest_baud = 1200;
constexpr u32 highest_baud = 4'000'000;

bool parse_in_range(std::string_view s, u64 low, u64 high, auto& out) {
    const auto number = text::parse_number(s);
    if (!number || *number < low || *number > high) return false;
    out = static_cast<std::remove_reference_t<decltype(out)>>(*number);
    return true;
}

bool parse_clock(std::string_view s, Config& config) {
    return parse_in_range(s, 16 * lowest_baud, 16 * highest_baud, config.clock_hz);
}

// <baud>|auto[/<base>]; the base is the clock's sixteenth, as Xen counts it.
bool parse_baud(std::string_view s, Config& config) {
    const bool has_base = s.find('/') != std::string_view::npos;
    const std::string_view baud = text::take_part(s, '/');
    if (baud == "auto") {
        config.baud = 0;
    } else if (!parse_in_range(baud, lowest_baud, highest_baud, config.baud)) {
        return false;
    }
    if (!has_base) return true;
    u32 base = 0;
    if (!parse_in_range(s, lowest_baud, highest_baud, base)) return false;
    config.clock_hz = base * 16;
    return true;
}

bool parse_parity(std::string_view s, Config& config) {
    if (s.size() != 1) return false;
    switch (s.front()) {
        case 'n': config.parity = Parity::none; return true;
        case 'o': config.parity = Parity::odd; return true;
        case 'e': config.parity = Parity::even; return true;
        case 'm': config.parity = Parity::mark; return true;
        case 's': config.parity = Parity::space; return true;
        default: return false;
    }
}

// "8n1"
bool parse_frame(std::string_view s, Config& config) {
    return s.size() == 3 && parse_in_range(s.substr(0, 1), 5, 8, config.data_bits) && parse_parity(s.substr(1, 1), config) &&
           parse_in_range(s.substr(2, 1), 1, 2, config.stop_bits);
}

bool parse_base(std::string_view s, Config& config) {
    return parse_in_range(s, 1, 0xfff8, config.io_base);
}

bool parse_irq(std::string_view s, Config& config) {
    return parse_in_range(s, 0, 15, config.irq);
}

using Parse = bool (*)(std::string_view, Config&);

bool parse_named(std::string_view name, std::string_view value, Config& config) {
    struct Part {
        std::string_view name;
        Parse parse;
    };
    constexpr Part parts[] = {
        {"baud", parse_baud},
        {"clock-hz", parse_clock},
        {"data-bits", [](std::string_view s, Config& c) { return parse_in_range(s, 5, 8, c.data_bits); }},
        {"parity", parse_parity},
        {"stop-bits", [](std::string_view s, Config& c) { return parse_in_range(s, 1, 2, c.stop_bits); }},
        {"io-base", parse_base},
        {"irq", parse_irq},
    };
    for (const Part& part : parts)
        if (part.name == name) return part.parse(value, config);
    return false;
}

}  // namespace

bool parse_config(std::string_view s, Config& config) {
    constexpr Parse positions[] = {parse_baud, parse_frame, parse_base, parse_irq};
    Config next = config;
    if (s.empty()) return false;
    for (usize position = 0; !s.empty(); ++position) {
        std::string_view part = text::take_part(s, ',');
        if (part.find('=') != std::string_view::npos) {
            const std::string_view name = text::take_part(part, '=');
            if (!parse_named(name, part, next)) return false;
        } else if (!part.empty()) {
            if (position >= std::size(positions) || !positions[position](part, next)) return false;
        }
    }
    next.given = true;
    config = next;
    return true;
}

}  // namespace xylem::uart
