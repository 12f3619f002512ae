// SPDX-License-Identifier: MIT
// Reading text that people typed: numbers, sizes, switches and lists. Nothing here allocates; parts are views of the input.
#pragma once

#include <optional>
#include <string_view>

#include "base/types.hpp"

namespace xylem::text {

// The whole text is one number: decimal, or hexadecimal after 0x. Nothing if it is empty, has other characters or overflows.
std::optional<u64> parse_number(std::string_view s);

// Bytes: a number followed by B, K, M, G or T in either case. Without a letter the unit is KiB, as on Xen's command line.
std::optional<u64> parse_size(std::string_view s);

// on/yes/true/enable/1 and off/no/false/disable/0.
std::optional<bool> parse_switch(std::string_view s);

// Cuts the text up to the next separator off `rest`, which loses it and the separator.
std::string_view take_part(std::string_view& rest, char separator);

// Cuts the next word (no blanks, tabs or line ends in it) off `rest`; empty when none is left.
std::string_view take_word(std::string_view& rest);

// True, and the prefix is gone from `s`, if `s` starts with it.
bool take_prefix(std::string_view& s, std::string_view prefix);

}  // namespace xylem::text
