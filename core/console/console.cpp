// SPDX-License-Identifier: MIT
#include "core/console/console.hpp"

#include <algorithm>

#include "core/console/stamp.hpp"

namespace xylem::console {
namespace {

constinit Console machine_console;

constexpr std::string_view line_mark = "(XEN) ";

// What `xl dmesg` keeps even when the devices show less.
constexpr bool kept_in_ring(log::Level level) {
    return level <= log::Level::info;
}

constexpr bool is_printable(char c) {
    return (c >= ' ' && c <= '~') || c == '\t';
}

}  // namespace

Console& the_console() {
    return machine_console;
}

void Console::configure(const Settings& settings) {
    ConsoleGuard guard(lock_);
    settings_ = settings;
}

void Console::set_clocks(const Clocks& clocks) {
    ConsoleGuard guard(lock_);
    clocks_ = clocks;
}

void Console::set_events(Events* events) {
    ConsoleGuard guard(lock_);
    events_ = events;
}

void Console::set_keys(KeyTable* keys) {
    ConsoleGuard guard(lock_);
    keys_ = keys;
}

bool Console::add_device(ConsoleDevice& device, bool replay) {
    ConsoleGuard guard(lock_);
    const auto place = std::find(devices_.begin(), devices_.end(), nullptr);
    if (place == devices_.end()) return false;
    char chunk[128];
    u32 index = ring_.first_index(false, 0);
    for (usize count = 0; replay && (count = ring_.read(index, chunk)) > 0;) device.write({chunk, count});
    *place = &device;
    return true;
}

void Console::remove_device(ConsoleDevice& device) {
    ConsoleGuard guard(lock_);
    // The others move up: to_devices() stops at the first empty place.
    const auto end = std::remove(devices_.begin(), devices_.end(), &device);
    std::fill(end, devices_.end(), nullptr);
}

bool Console::move_ring(std::span<char> memory) {
    ConsoleGuard guard(lock_);
    return ring_.move_to(memory);
}

Nanos Console::now() const {
    return clocks_.since_boot != nullptr ? clocks_.since_boot() : 0;
}

void Console::to_devices(std::string_view text) {
    for (ConsoleDevice* device : devices_) {
        if (device == nullptr) break;
        device->write(text);
    }
}

void Console::put(std::string_view text, bool to_devices_too) {
    if (ring_.capacity() == 0) ring_.move_to(first_ring_);
    ring_.write(text);
    ring_dirty_ = true;
    if (to_devices_too) to_devices(text);
}

void Console::put_line(std::string_view mark, std::string_view text, bool to_devices_too) {
    if (mid_line_ && to_devices_too) {
        if (settings_.guest_to_ring) ring_.write("\n");
        to_devices("\n");
        mid_line_ = false;
    }
    text::FixedText<64> head;
    head.write(line_mark);
    put_timestamp(head, settings_.timestamps, clocks_);
    head.write(mark);
    put(head.view(), to_devices_too);
    put(text, to_devices_too);
    put("\n", to_devices_too);
}

void Console::put_lines(std::string_view mark, std::string_view text, bool to_devices_too) {
    if (text.ends_with('\n')) text.remove_suffix(1);
    for (;;) {
        const usize end = text.find('\n');
        put_line(mark, text.substr(0, end), to_devices_too);
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + 1);
    }
}

Events* Console::ring_listener() {
    if (!ring_dirty_) return nullptr;
    ring_dirty_ = false;
    if (listener_told_ || events_ == nullptr || lock_.is_broken()) return nullptr;
    listener_told_ = true;
    return events_;
}

void Console::report_suppressed(RateLimit& budget, std::string_view whose) {
    const u32 count = budget.take_suppressed();
    if (count == 0) return;
    text::FixedText<64> line;
    text::format(line, "{} messages suppressed", count);
    put_line(whose, line.view(), true);
}

void Console::emit(log::Level level, std::string_view text) {
    Events* listener = nullptr;
    {
        ConsoleGuard guard(lock_);
        bool shown = settings_.log.shows(level) || lock_.is_broken();
        if (!shown && !kept_in_ring(level)) return;
        if (shown && settings_.log.rate_limits(level) && !lock_.is_broken() && clocks_.since_boot != nullptr) {
            shown = budget_.allow(now());
            if (shown) report_suppressed(budget_, "");
        }
        put_lines("", text, shown);
        listener = ring_listener();
    }
    if (listener != nullptr) listener->ring_grew();
}

void Console::write_dom0(std::string_view text) {
    if (text.empty()) return;
    Events* listener = nullptr;
    {
        ConsoleGuard guard(lock_);
        mid_line_ = text.back() != '\n';
        if (settings_.guest_to_ring) {
            put(text, true);
            listener = ring_listener();
        } else {
            to_devices(text);
        }
    }
    if (listener != nullptr) listener->ring_grew();
}

void Console::write_guest(GuestConsole& guest, std::string_view text) {
    if (!shows_guest(log::Level::debug)) return;
    Events* listener = nullptr;
    {
        IrqGuard guest_guard(guest.lock_);
        for (const char c : text) {
            if (is_printable(c)) guest.line_.write({&c, 1});
            if (c != '\n' && guest.line_.view().size() < GuestConsole::line_limit) continue;
            if (Events* told = put_guest_line(guest); told != nullptr) listener = told;
        }
    }
    if (listener != nullptr) listener->ring_grew();
}

Events* Console::put_guest_line(GuestConsole& guest) {
    ConsoleGuard guard(lock_);
    text::FixedText<16> mark;
    text::format(mark, "(d{}) ", guest.id_.raw);
    const bool limited = settings_.guest_log.rate_limits(log::Level::debug) && clocks_.since_boot != nullptr;
    if (!limited || guest.budget_.allow(now())) {
        report_suppressed(guest.budget_, mark.view());
        put_line(mark.view(), guest.line_.view(), true);
    }
    guest.line_.clear();
    return ring_listener();
}

void Console::emit_guest(GuestConsole& guest, log::Level level, std::string_view text) {
    if (!shows_guest(level)) return;
    Events* listener = nullptr;
    {
        IrqGuard guest_guard(guest.lock_);
        ConsoleGuard guard(lock_);
        const bool limited = settings_.guest_log.rate_limits(level) && clocks_.since_boot != nullptr;
        if (limited && !guest.budget_.allow(now())) return;
        text::FixedText<16> mark;
        text::format(mark, "d{} ", guest.id_.raw);
        report_suppressed(guest.budget_, mark.view());
        put_lines(mark.view(), text, true);
        listener = ring_listener();
    }
    if (listener != nullptr) listener->ring_grew();
}

u32 Console::start_read(bool incremental, u32 index) {
    ConsoleGuard guard(lock_);
    listener_told_ = false;
    return ring_.first_index(incremental, index);
}

usize Console::read_ring(u32& index, std::span<char> out) {
    ConsoleGuard guard(lock_);
    return ring_.read(index, out);
}

void Console::clear_ring_to(u32 index) {
    ConsoleGuard guard(lock_);
    ring_.clear_to(index);
}

}  // namespace xylem::console

void xylem::log::emit(Level level, std::string_view line) {
    console::the_console().emit(level, line);
}
