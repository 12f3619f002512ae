// SPDX-License-Identifier: MIT
// Our own invariant is broken, or the machine cannot run us: stop with a report a user can send.
#pragma once

#include "base/text/format.hpp"

namespace xylem {

[[noreturn]] void panic_with(std::string_view reason);

template <class... Args>
[[noreturn]] void panic(text::FormatString<std::type_identity_t<Args>...> f, const Args&... args) {
    text::FixedText<320> line;
    text::format<Args...>(line, f, args...);
    panic_with(line.view());
}

[[noreturn]] void bug_at(const char* condition, const char* file, unsigned line);

}  // namespace xylem

// Checked in release builds too. Never for a value that a guest can choose.
#define XYLEM_BUG_ON(condition)                                   \
    do {                                                          \
        if (condition) [[unlikely]]                               \
            ::xylem::bug_at(#condition, __FILE_NAME__, __LINE__); \
    } while (false)
