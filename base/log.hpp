// SPDX-License-Identifier: MIT
// The hypervisor's log. Lines go to the console ring (`xl dmesg`) and, by level, to the consoles.
// Callable anywhere, interrupts included. Tell what, which domain or device, and what to do about it.
#pragma once

#include "base/text/format.hpp"

namespace xylem::log {

enum class Level : u8 { error = 0, warning = 1, info = 2, debug = 3 };

// Where finished lines go (without the trailing newline); defined once per program (core/console, or the tests' main).
void emit(Level level, std::string_view line);

template <class... Args>
void at(Level level, text::FormatString<std::type_identity_t<Args>...> f, const Args&... args) {
    text::FixedText<320> line;
    text::format<Args...>(line, f, args...);
    emit(level, line.view());
}
template <class... Args>
void error(text::FormatString<std::type_identity_t<Args>...> f, const Args&... args) {
    at<Args...>(Level::error, f, args...);
}
template <class... Args>
void warning(text::FormatString<std::type_identity_t<Args>...> f, const Args&... args) {
    at<Args...>(Level::warning, f, args...);
}
template <class... Args>
void info(text::FormatString<std::type_identity_t<Args>...> f, const Args&... args) {
    at<Args...>(Level::info, f, args...);
}
template <class... Args>
void debug(text::FormatString<std::type_identity_t<Args>...> f, const Args&... args) {
    at<Args...>(Level::debug, f, args...);
}

}  // namespace xylem::log
