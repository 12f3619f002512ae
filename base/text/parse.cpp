// SPDX-License-Identifier: MIT
#include "base/text/parse.hpp"

namespace xylem::text {
namespace {

// The digit's value, or 16 for a character that is none.
constexpr u64 digit_of(char c) {
    if (c >= '0' && c <= '9') return static_cast<u64>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<u64>(c - 'a') + 10;
    if (c >= 'A' && c <= 'F') return static_cast<u64>(c - 'A') + 10;
    return 16;
}

constexpr bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// The power of two of a unit letter, or nothing.
constexpr std::optional<unsigned> unit_shift(char c) {
    switch (c) {
        case 'B':
        case 'b': return 0;
        case 'K':
        case 'k': return 10;
        case 'M':
        case 'm': return 20;
        case 'G':
        case 'g': return 30;
        case 'T':
        case 't': return 40;
        default: return std::nullopt;
    }
}

}  // namespace

std::optional<u64> parse_number(std::string_view s) {
    const u64 radix = take_prefix(s, "0x") || take_prefix(s, "0X") ? 16 : 10;
    if (s.empty()) return std::nullopt;
    u64 value = 0;
    for (const char c : s) {
        const u64 digit = digit_of(c);
        if (digit >= radix) return std::nullopt;
        if (__builtin_mul_overflow(value, radix, &value) || __builtin_add_overflow(value, digit, &value)) return std::nullopt;
    }
    return value;
}

std::optional<u64> parse_size(std::string_view s) {
    if (s.empty()) return std::nullopt;
    unsigned shift = 10;
    // 'b' is also a hex digit: after 0x it is one, as Xen reads it.
    const bool hex = s.starts_with("0x") || s.starts_with("0X");
    const char last = s.back();
    if (const auto unit = unit_shift(last); unit && !(hex && digit_of(last) < 16)) {
        shift = *unit;
        s.remove_suffix(1);
    }
    const auto count = parse_number(s);
    if (!count || (*count << shift) >> shift != *count) return std::nullopt;
    return *count << shift;
}

std::optional<bool> parse_switch(std::string_view s) {
    for (const std::string_view yes : {"on", "yes", "true", "enable", "1"})
        if (s == yes) return true;
    for (const std::string_view no : {"off", "no", "false", "disable", "0"})
        if (s == no) return false;
    return std::nullopt;
}

std::string_view take_part(std::string_view& rest, char separator) {
    const usize at = rest.find(separator);
    const std::string_view part = rest.substr(0, at);
    rest = at == std::string_view::npos ? std::string_view{} : rest.substr(at + 1);
    return part;
}

std::string_view take_word(std::string_view& rest) {
    usize start = 0;
    while (start < rest.size() && is_blank(rest[start])) ++start;
    usize end = start;
    while (end < rest.size() && !is_blank(rest[end])) ++end;
    const std::string_view word = rest.substr(start, end - start);
    rest = rest.substr(end);
    return word;
}

bool take_prefix(std::string_view& s, std::string_view prefix) {
    if (!s.starts_with(prefix)) return false;
    s.remove_prefix(prefix.size());
    return true;
}

}  // namespace xylem::text
