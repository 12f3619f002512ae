// SPDX-License-Identifier: MIT
// The client's end of the store: synchronous requests of one thread, and watches.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.hpp"
#include "base/text/format.hpp"
#include "base/text/parse.hpp"
#include "guest/lib/store_wire.hpp"

namespace xylem::xenbus {

using Text = text::FixedText<256>;

// A domU's ring from start_info; a dom0 that has its own server gives both.
Result<> start();
Result<> start_with(xenstore_domain_interface* page, u32 port, bool bound);

Result<Text> read(std::string_view path);
Result<> write(std::string_view path, std::string_view value);
Result<> remove(std::string_view path);
// Names of the children, each ended by a zero.
Result<Text> list(std::string_view path);
Result<> watch(std::string_view path, std::string_view token);
// The path of the next watch event that came, none until the moment.
std::optional<Text> next_event(Nanos until);

inline Result<u64> read_number(std::string_view path) {
    const Text t = TRY(read(path));
    const auto n = text::parse_number(t.view());
    if (!n) return fail(Errno::XEN_EINVAL);
    return *n;
}

template <class... Args>
Text path(text::FormatString<std::type_identity_t<Args>...> f, const Args&... args) {
    Text t;
    text::format<Args...>(t, f, args...);
    return t;
}

// State of the other end of a device; waits until it is one of the wanted or further, or the other end is closing.
Result<u64> wait_for_state(std::string_view other_end, u64 wanted, Nanos patience);

}  // namespace xylem::xenbus
