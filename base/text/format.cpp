// SPDX-License-Identifier: MIT
#include "base/text/format.hpp"

namespace xylem::text {
namespace {

struct Spec {
    bool hex = false;
    bool prefix = false;
    bool zeros = false;
    bool left = false;
    unsigned width = 0;
};

Spec parse_spec(std::string_view s) {
    Spec spec;
    if (s.empty() || s.front() != ':') return spec;
    for (char c : s.substr(1)) {
        if (c == '#') {
            spec.prefix = true;
        } else if (c == '<') {
            spec.left = true;
        } else if (c == '0' && spec.width == 0) {
            spec.zeros = true;
        } else if (c >= '0' && c <= '9') {
            spec.width = spec.width * 10 + static_cast<unsigned>(c - '0');
        } else if (c == 'x') {
            spec.hex = true;
        }
    }
    return spec;
}

void pad(Sink& out, char c, usize count) {
    constexpr std::string_view blanks = "                ";
    constexpr std::string_view zeros = "0000000000000000";
    const std::string_view fill = c == '0' ? zeros : blanks;
    for (; count > fill.size(); count -= fill.size()) out.write(fill);
    out.write(fill.substr(0, count));
}

void put_text(Sink& out, std::string_view s, const Spec& spec) {
    const usize fill = spec.width > s.size() ? spec.width - s.size() : 0;
    if (!spec.left) pad(out, ' ', fill);
    out.write(s);
    if (spec.left) pad(out, ' ', fill);
}

void put_number(Sink& out, u64 value, bool negative, const Spec& spec) {
    char digits[24];
    usize at = sizeof digits;
    const u64 radix = spec.hex ? 16 : 10;
    do {
        digits[--at] = "0123456789abcdef"[value % radix];
        value /= radix;
    } while (value != 0);
    const usize count = sizeof digits - at;
    const std::string_view sign = negative ? "-" : (spec.hex && spec.prefix ? "0x" : "");
    const usize length = count + sign.size();
    const usize fill = spec.width > length ? spec.width - length : 0;
    if (!spec.zeros && !spec.left) pad(out, ' ', fill);
    out.write(sign);
    if (spec.zeros && !spec.left) {
        // Hex digits are counted without the prefix ({:#08x} is 0x and eight digits), a decimal's sign counts.
        const usize digits_fill = spec.width > count ? spec.width - count : 0;
        pad(out, '0', spec.hex ? digits_fill : fill);
    }
    out.write({digits + at, count});
    if (spec.left) pad(out, ' ', fill);
}

void put(Sink& out, const Arg& arg, Spec spec) {
    switch (arg.kind) {
        case Arg::Kind::string: return put_text(out, {arg.chars, arg.length}, spec);
        case Arg::Kind::boolean: return put_text(out, arg.number != 0 ? "yes" : "no", spec);
        case Arg::Kind::character: {
            const char c = static_cast<char>(arg.number);
            return put_text(out, {&c, 1}, spec);
        }
        case Arg::Kind::pointer:
            spec.hex = true;
            spec.prefix = true;
            return put_number(out, arg.number, false, spec);
        case Arg::Kind::unsigned_number: return put_number(out, arg.number, false, spec);
        case Arg::Kind::signed_number: {
            if (spec.hex) {
                const u64 mask = arg.length < sizeof(u64) ? (u64{1} << (arg.length * 8)) - 1 : ~u64{0};
                return put_number(out, arg.number & mask, false, spec);
            }
            const bool negative = static_cast<i64>(arg.number) < 0;
            return put_number(out, negative ? 0 - arg.number : arg.number, negative, spec);
        }
    }
}

}  // namespace

void vformat(Sink& out, std::string_view format, std::span<const Arg> args) {
    usize next = 0;
    usize plain = 0;
    for (usize i = 0; i < format.size(); ++i) {
        const char c = format[i];
        if (c != '{' && c != '}') continue;
        out.write(format.substr(plain, i - plain));
        if (i + 1 < format.size() && format[i + 1] == c) {
            plain = ++i;
            continue;
        }
        const usize end = c == '{' ? format.find('}', i) : std::string_view::npos;
        if (end == std::string_view::npos) {
            plain = i;
            continue;
        }
        if (next < args.size()) put(out, args[next++], parse_spec(format.substr(i + 1, end - i - 1)));
        i = end;
        plain = end + 1;
    }
    out.write(format.substr(plain < format.size() ? plain : format.size()));
}

}  // namespace xylem::text
