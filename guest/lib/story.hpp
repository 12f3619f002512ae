// SPDX-License-Identifier: MIT
// What a test guest says. Each line "= name: value" is compared between hypervisors; the last line is the verdict, one word of
// four: SUCCESS, FAILURE (the hypervisor did something else), ERROR (the test itself could not go on), SKIP (not on this
// machine).
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "base/text/format.hpp"
#include "guest/kit/console.hpp"
#include "guest/kit/traps.hpp"

namespace xylem::story {

// A number both hypervisors must agree on, whatever it is.
void show(std::string_view name, i64 value);
void show_hex(std::string_view name, u64 value);
void show_text(std::string_view name, std::string_view value);
// Not compared: figures that differ from run to run.
template <class... Args>
void remark(text::FormatString<std::type_identity_t<Args>...> f, const Args&... args) {
    text::FixedText<400> line;
    line.write("~ ");
    text::format<Args...>(line, f, args...);
    kit::print("{}", line.view());
}

void equal(std::string_view name, i64 got, i64 wanted);
void equal_hex(std::string_view name, u64 got, u64 wanted);
void is(std::string_view name, bool true_as_wanted);
// A hypercall's answer.
inline void answers(std::string_view name, long got, Errno wanted) {
    equal(name, got, -static_cast<long>(wanted));
}
inline void succeeds(std::string_view name, long got) {
    equal(name, got, 0);
}
inline void succeeds(std::string_view name, const Result<>& r) {
    equal(name, r ? 0 : -static_cast<long>(r.error()), 0);
}
inline void answers(std::string_view name, const Result<>& r, Errno wanted) {
    equal(name, r ? 0 : -static_cast<long>(r.error()), -static_cast<long>(wanted));
}
void traps(std::string_view name, const std::optional<kit::Trap>& trap, u32 vector, u32 error = 0);
void runs(std::string_view name, const std::optional<kit::Trap>& trap);  // no trap
void show_trap(std::string_view name, const std::optional<kit::Trap>& trap);

// The test cannot go on, or makes no sense here.
[[noreturn]] void error(std::string_view reason);
[[noreturn]] void skip(std::string_view reason);
// The verdict; every guest ends with it.
void end();

}  // namespace xylem::story
