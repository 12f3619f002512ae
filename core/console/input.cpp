// SPDX-License-Identifier: MIT
// Serial input: who gets the characters.
#include "core/console/console.hpp"

namespace xylem::console {
namespace {

constexpr char control(char letter) {
    return static_cast<char>(letter & 0x1f);
}

}  // namespace

void Console::switch_input(Target target) {
    target_ = target;
    switches_ = 0;
    const std::string_view who = target == Target::dom0 ? "DOM0" : "Xen";
    text::FixedText<96> line;
    if (settings_.switch_letter != 0) {
        text::format(line, "*** Serial input to {} (type 'CTRL-{}' three times to switch input)", who, settings_.switch_letter);
    } else {
        text::format(line, "*** Serial input to {}", who);
    }
    put_line("", line.view(), true);
}

void Console::dom0_started() {
    ConsoleGuard guard(lock_);
    if (settings_.switch_at_start && target_ != Target::dom0) switch_input(Target::dom0);
}

char Console::deliver(char c) {
    if (target_ == Target::hypervisor) return c;
    // When dom0 does not read, the newest characters are lost.
    if (input_end_ - input_begin_ < input_size) input_[input_end_++ % input_size] = c;
    return 0;
}

void Console::receive(std::string_view chars) {
    bool for_dom0 = false;
    Events* events = nullptr;
    for (const char c : chars) {
        KeyTable* keys = nullptr;
        char key = 0;
        {
            ConsoleGuard guard(lock_);
            events = events_;
            if (settings_.switch_letter != 0 && c == control(settings_.switch_letter)) {
                if (++switches_ == 3) switch_input(target_ == Target::dom0 ? Target::hypervisor : Target::dom0);
                continue;
            }
            // Too few switch characters for a switch: they were meant for the reader.
            for (; switches_ > 0; --switches_) deliver(control(settings_.switch_letter));
            key = deliver(c);
            keys = keys_;
            for_dom0 = for_dom0 || target_ == Target::dom0;
        }
        if (key != 0 && keys != nullptr) keys->press(key);
    }
    // Told also when nothing could be stored: a lost notification must not stop input for good.
    if (for_dom0 && events != nullptr) events->input_ready();
}

void Console::press_key(char key) {
    KeyTable* keys = nullptr;
    {
        ConsoleGuard guard(lock_);
        keys = keys_;
    }
    if (keys != nullptr) keys->press(key);
}

usize Console::read_input(std::span<char> out) {
    ConsoleGuard guard(lock_);
    usize count = 0;
    while (count < out.size() && input_begin_ != input_end_) out[count++] = input_[input_begin_++ % input_size];
    return count;
}

}  // namespace xylem::console
