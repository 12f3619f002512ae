// SPDX-License-Identifier: MIT
#include "guest/lib/story.hpp"

#include "guest/kit/cpu.hpp"

namespace xylem::story {
namespace {

unsigned checks, failures;

void line(std::string_view name, std::string_view value, std::string_view wanted, bool good) {
    ++checks;
    if (good) {
        kit::print("= {}: {}", name, value);
    } else {
        ++failures;
        kit::print("= {}: {}, wanted {}", name, value, wanted);
    }
}

text::FixedText<40> number(i64 n) {
    text::FixedText<40> t;
    text::format(t, "{}", n);
    return t;
}
text::FixedText<40> hex(u64 n) {
    text::FixedText<40> t;
    text::format(t, "{:#x}", n);
    return t;
}
text::FixedText<80> trap_words(const std::optional<kit::Trap>& trap) {
    text::FixedText<80> t;
    if (trap) {
        text::format(t, "trap {} error {:#x}", trap->frame.vector, trap->frame.error);
    } else {
        t.write("no trap");
    }
    return t;
}

[[noreturn]] void end_with(std::string_view word, std::string_view reason) {
    kit::print("verdict: {} ({})", word, reason);
    kit::shut_down(kit::Shutdown::reboot);
}

}  // namespace

void show(std::string_view name, i64 value) {
    kit::print("= {}: {}", name, value);
}
void show_hex(std::string_view name, u64 value) {
    kit::print("= {}: {:#x}", name, value);
}
void show_text(std::string_view name, std::string_view value) {
    kit::print("= {}: {}", name, value);
}
void show_trap(std::string_view name, const std::optional<kit::Trap>& trap) {
    kit::print("= {}: {}", name, trap_words(trap).view());
}

void equal(std::string_view name, i64 got, i64 wanted) {
    line(name, number(got).view(), number(wanted).view(), got == wanted);
}
void equal_hex(std::string_view name, u64 got, u64 wanted) {
    line(name, hex(got).view(), hex(wanted).view(), got == wanted);
}
void is(std::string_view name, bool true_as_wanted) {
    line(name, true_as_wanted ? "yes" : "no", "yes", true_as_wanted);
}
void traps(std::string_view name, const std::optional<kit::Trap>& trap, u32 vector, u32 error) {
    const bool good = trap && trap->frame.vector == vector && trap->frame.error == error;
    text::FixedText<80> wanted;
    text::format(wanted, "trap {} error {:#x}", vector, error);
    line(name, trap_words(trap).view(), wanted.view(), good);
}
void runs(std::string_view name, const std::optional<kit::Trap>& trap) {
    line(name, trap_words(trap).view(), "no trap", !trap);
}

void error(std::string_view reason) {
    end_with("ERROR", reason);
}
void skip(std::string_view reason) {
    end_with("SKIP", reason);
}
void end() {
    if (failures != 0) {
        kit::print("verdict: FAILURE ({} of {} checks)", failures, checks);
    } else {
        kit::print("verdict: SUCCESS ({} checks)", checks);
    }
}

}  // namespace xylem::story
