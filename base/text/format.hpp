// SPDX-License-Identifier: MIT
// Text for people: `{}` decimal or text, `{:x}` hex, `{:08x}` zero-padded hex, `{:#x}` with 0x, `{:<12}`/`{:>6}` padded text.
// The number and kind of arguments are checked when the format string is compiled.
#pragma once

#include <algorithm>
#include <concepts>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/types.hpp"

namespace xylem::text {

class Sink {
   public:
    virtual void write(std::string_view s) = 0;

   protected:
    ~Sink() = default;
};

struct Arg {
    enum class Kind : u8 { unsigned_number, signed_number, string, character, boolean, pointer };
    Kind kind;
    union {
        u64 number;
        const char* chars;
    };
    usize length = 0;

    constexpr Arg(Kind k, u64 n) : kind(k), number(n) {}
    constexpr explicit Arg(std::string_view s) : kind(Kind::string), chars(s.data()), length(s.size()) {}
};

template <class T>
concept Formattable =
    std::integral<T> || std::is_enum_v<T> || std::is_pointer_v<T> || std::convertible_to<T, std::string_view> || requires(T t) {
        { t.raw } -> std::convertible_to<u64>;
    };

template <class T>
constexpr Arg make_arg(const T& value) {
    using Kind = Arg::Kind;
    if constexpr (std::is_pointer_v<T> && std::convertible_to<T, std::string_view>) {
        return Arg(value != nullptr ? std::string_view(value) : std::string_view("(null)"));
    } else if constexpr (std::convertible_to<T, std::string_view>) {
        return Arg(std::string_view(value));
    } else if constexpr (std::same_as<T, bool>) {
        return Arg(Kind::boolean, value ? 1 : 0);
    } else if constexpr (std::same_as<T, char>) {
        return Arg(Kind::character, static_cast<u8>(value));
    } else if constexpr (std::signed_integral<T>) {
        Arg arg(Kind::signed_number, static_cast<u64>(static_cast<i64>(value)));
        arg.length = sizeof value;  // so that a negative int prints as eight hex digits, not sixteen
        return arg;
    } else if constexpr (std::unsigned_integral<T>) {
        return Arg(Kind::unsigned_number, value);
    } else if constexpr (std::is_enum_v<T>) {
        return make_arg(static_cast<std::underlying_type_t<T>>(value));
    } else if constexpr (std::is_pointer_v<T>) {
        return Arg(Kind::pointer, reinterpret_cast<u64>(value));
    } else {
        return make_arg(value.raw);
    }
}

// Not constexpr: reaching it while a format string is compiled is the error message.
void bad_format(const char* reason);

// A field is empty or ':' with '#', '<', '>', digits and at most a final 'x'.
consteval void check_field(std::string_view field) {
    if (field.empty()) return;
    if (field.front() != ':') bad_format("format: a field is {} or {:...}; arguments have no numbers or names");
    for (usize i = 1; i < field.size(); ++i) {
        const char c = field[i];
        const bool known = c == '#' || c == '<' || c == '>' || (c >= '0' && c <= '9') || (c == 'x' && i + 1 == field.size());
        if (!known) bad_format("format: unknown letter in a field");
    }
}

// How many `{…}` a format string has; a lone brace does not compile.
consteval usize count_fields(std::string_view f) {
    usize fields = 0;
    for (usize i = 0; i < f.size(); ++i) {
        if (f[i] == '{') {
            if (i + 1 < f.size() && f[i + 1] == '{') {
                ++i;
                continue;
            }
            const usize start = i + 1;
            while (i < f.size() && f[i] != '}') ++i;
            if (i == f.size()) bad_format("format: '{' without '}'");
            check_field(f.substr(start, i - start));
            ++fields;
        } else if (f[i] == '}') {
            if (i + 1 >= f.size() || f[i + 1] != '}') bad_format("format: '}' without '{'");
            ++i;
        }
    }
    return fields;
}

template <Formattable... Args>
struct FormatString {
    std::string_view text;
    template <std::convertible_to<std::string_view> S>
    consteval FormatString(const S& s) : text(s) {
        if (count_fields(text) != sizeof...(Args)) bad_format("format: wrong number of arguments");
    }
};

// The unchecked core: callers use format(). A broken format string prints as it stands, a missing argument prints nothing.
void vformat(Sink& out, std::string_view format, std::span<const Arg> args);

template <class... Args>
void format(Sink& out, FormatString<std::type_identity_t<Args>...> f, const Args&... args) {
    if constexpr (sizeof...(Args) == 0) {
        vformat(out, f.text, {});
    } else {
        const Arg list[] = {make_arg(args)...};
        vformat(out, f.text, list);
    }
}

// Text in a fixed buffer; what does not fit is cut.
template <usize N>
class FixedText final : public Sink {
   public:
    void write(std::string_view s) override {
        const usize count = s.size() < N - length_ ? s.size() : N - length_;
        std::copy_n(s.data(), count, buffer_ + length_);
        length_ += count;
        truncated_ = truncated_ || count < s.size();
    }
    std::string_view view() const { return {buffer_, length_}; }
    bool truncated() const { return truncated_; }
    void clear() {
        length_ = 0;
        truncated_ = false;
    }

   private:
    char buffer_[N]{};
    usize length_ = 0;
    bool truncated_ = false;
};

}  // namespace xylem::text
