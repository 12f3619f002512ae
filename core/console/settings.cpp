// SPDX-License-Identifier: MIT
#include "core/console/settings.hpp"

#include "base/text/parse.hpp"

namespace xylem::console {
namespace {

std::optional<u8> parse_level(std::string_view s) {
    constexpr std::string_view names[] = {"none", "error", "warning", "info", "debug"};
    if (s == "all") return u8{4};
    for (u8 i = 0; i < std::size(names); ++i)
        if (s == names[i]) return i;
    return std::nullopt;
}

}  // namespace

std::optional<Thresholds> parse_thresholds(std::string_view s) {
    const bool both = s.find('/') != std::string_view::npos;
    const auto lower = parse_level(text::take_part(s, '/'));
    const auto upper = both ? parse_level(s) : lower;
    if (!lower || !upper) return std::nullopt;
    // More "always" than "at all" makes no sense: the smaller number rules, as in Xen.
    return Thresholds{.always = *lower < *upper ? *lower : *upper, .limited = *upper};
}

}  // namespace xylem::console
