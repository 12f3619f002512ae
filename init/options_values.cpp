// SPDX-License-Identifier: MIT
#include "init/options_values.hpp"

#include <algorithm>
#include <bit>
#include <optional>

#include "base/text/parse.hpp"

namespace xylem::init {
namespace {

using Value = Option::Value;

// [-]<size>, [-][<size>+]<percent>%
std::optional<MemoryAmount> parse_amount(std::string_view s) {
    MemoryAmount amount{.given = true};
    amount.negative = text::take_prefix(s, "-");
    if (s.ends_with('%')) {
        s.remove_suffix(1);
        const usize plus = s.find('+');
        const auto percent = text::parse_number(plus == std::string_view::npos ? s : s.substr(plus + 1));
        if (!percent || *percent > 100) return std::nullopt;
        amount.percent = static_cast<u8>(*percent);
        if (plus == std::string_view::npos) return amount;
        s = s.substr(0, plus);
    }
    const auto bytes = text::parse_size(s);
    if (!bytes) return std::nullopt;
    amount.bytes = *bytes;
    return amount;
}

void show_amount(std::string_view name, const MemoryAmount& amount, bool& first, text::Sink& out) {
    if (!amount.given) return;
    text::format(out, "{}{}{}", first ? "" : ",", name, amount.negative ? "-" : "");
    first = false;
    if (amount.bytes != 0 || amount.percent == 0) show_size(amount.bytes, out);
    if (amount.percent != 0) text::format(out, "{}{}%", amount.bytes != 0 ? "+" : "", amount.percent);
}

}  // namespace

void show_size(u64 bytes, text::Sink& out) {
    constexpr char units[] = {'B', 'K', 'M', 'G', 'T'};
    unsigned unit = 0;
    while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < sizeof units) {
        bytes /= 1024;
        ++unit;
    }
    text::format(out, "{}{}", bytes, units[unit]);
}

void show_thresholds(const console::Thresholds& thresholds, text::Sink& out) {
    constexpr std::string_view names[] = {"none", "error", "warning", "info", "all"};
    out.write(names[thresholds.always]);
    if (thresholds.limited != thresholds.always) text::format(out, "/{}", names[thresholds.limited]);
}

void show_uart(const uart::Config& config, text::Sink& out) {
    if (config.baud == 0) {
        out.write("auto");
    } else {
        text::format(out, "{}", config.baud);
    }
    const char parity = "noems"[static_cast<u8>(config.parity)];
    text::format(out, ",{}{}{},{:#x},{}", config.data_bits, parity, config.stop_bits, config.io_base, config.irq);
}

// A list; H and L behind a port (upper or lower half of a shared line in Xen) mean nothing here.
bool read_console(Options& options, const Value& value) {
    ConsoleChoice choice{.com1 = false, .com2 = false, .vga = false};
    std::string_view rest = value.text;
    while (!rest.empty()) {
        const std::string_view part = text::take_part(rest, ',');
        if (part == "com1" || part == "com1H" || part == "com1L") {
            choice.com1 = true;
        } else if (part == "com2" || part == "com2H" || part == "com2L") {
            choice.com2 = true;
        } else if (part == "vga") {
            choice.vga = true;
        } else if (part != "none") {
            return false;
        }
    }
    if (value.text.empty()) return false;
    options.console = choice;
    return true;
}

void show_console(const Options& options, text::Sink& out) {
    bool first = true;
    const auto show = [&](bool on, std::string_view name) {
        if (!on) return;
        text::format(out, "{}{}", first ? "" : ",", name);
        first = false;
    };
    show(options.console.com1, "com1");
    show(options.console.com2, "com2");
    show(options.console.vga, "vga");
    show(first, "none");
}

bool read_conswitch(Options& options, const Value& value) {
    if (value.text.empty() || value.text.size() > 2) return false;
    const char letter = value.text.front();
    const bool is_letter = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z');
    if (!is_letter && letter != '`') return false;
    // Any second character but 'x' means, as in Xen, that input is switched.
    options.conswitch = {.letter = letter == '`' ? '\0' : static_cast<char>(letter | 0x20),
                         .at_start = value.text.substr(1) != "x"};
    return true;
}

void show_conswitch(const Options& options, text::Sink& out) {
    const char letter = options.conswitch.letter != 0 ? options.conswitch.letter : '`';
    text::format(out, "{}{}", letter, options.conswitch.at_start ? "" : "x");
}

// Rounded up to a power of two, at least a page and at most 16 MiB.
bool read_conring_size(Options& options, const Value& value) {
    const auto size = text::parse_size(value.text);
    if (!size || *size == 0) return false;
    options.conring_size = std::bit_ceil(std::clamp<u64>(*size, page_size, 16 * mib));
    return true;
}

// Only `keep` is ours; the screen's mode is the boot loader's choice, so Xen's mode words are accepted and change nothing.
bool read_vga(Options& options, const Value& value) {
    std::string_view rest = value.text;
    bool keep = false;
    while (!rest.empty()) {
        const std::string_view part = text::take_part(rest, ',');
        if (part == "keep") {
            keep = true;
        } else if (part != "ask" && part != "current" && !part.starts_with("text-") && !part.starts_with("gfx-") &&
                   !part.starts_with("mode-")) {
            return false;
        }
    }
    options.vga_keep = keep;
    return true;
}

bool read_dom0_mem(Options& options, const Value& value) {
    Dom0Memory memory = options.dom0_mem;
    std::string_view rest = value.text;
    if (rest.empty()) return false;
    while (!rest.empty()) {
        std::string_view part = text::take_part(rest, ',');
        MemoryAmount* target = &memory.initial;
        if (text::take_prefix(part, "min:")) {
            target = &memory.least;
        } else if (text::take_prefix(part, "max:")) {
            target = &memory.most;
        }
        const auto amount = parse_amount(part);
        if (!amount) return false;
        *target = *amount;
    }
    options.dom0_mem = memory;
    return true;
}

void show_dom0_mem(const Options& options, text::Sink& out) {
    bool first = true;
    show_amount("", options.dom0_mem.initial, first, out);
    show_amount("min:", options.dom0_mem.least, first, out);
    show_amount("max:", options.dom0_mem.most, first, out);
}

// <n>, <min>-<max>, <min>-, -<max>
bool read_dom0_max_vcpus(Options& options, const Value& value) {
    std::string_view rest = value.text;
    const bool is_range = rest.find('-') != std::string_view::npos;
    const std::string_view low = text::take_part(rest, '-');
    const std::string_view high = is_range ? rest : low;
    VcpuRange range;
    const auto read = [](std::string_view s, u32& out) {
        const auto number = text::parse_number(s);
        if (!number || *number == 0 || *number > 0xffff) return false;
        out = static_cast<u32>(*number);
        return true;
    };
    if (low.empty() && high.empty()) return false;
    if (!low.empty() && !read(low, range.least)) return false;
    if (!high.empty() && !read(high, range.most)) return false;
    if (range.least > range.most) return false;
    options.dom0_max_vcpus = range;
    return true;
}

void show_dom0_max_vcpus(const Options& options, text::Sink& out) {
    const VcpuRange& range = options.dom0_max_vcpus;
    if (range.least == range.most) return text::format(out, "{}", range.least);
    text::format(out, "{}-", range.least);
    if (range.most != ~u32{0}) text::format(out, "{}", range.most);
}

bool read_timestamps(Options& options, const Value& value) {
    using console::Timestamps;
    struct Name {
        std::string_view name;
        Timestamps kind;
    };
    constexpr Name names[] = {{"none", Timestamps::none}, {"date", Timestamps::date}, {"datems", Timestamps::date_and_msec},
                              {"boot", Timestamps::boot}, {"raw", Timestamps::raw},   {"", Timestamps::date}};
    for (const Name& name : names) {
        if (value.text != name.name) continue;
        options.console_timestamps = name.kind;
        return true;
    }
    const auto on = text::parse_switch(value.text);
    if (on) options.console_timestamps = *on ? Timestamps::date : Timestamps::none;
    return on.has_value();
}

// The first letter counts, as in Xen; "warm" and "cold" are accepted.
bool read_reboot(Options& options, const Value& value) {
    std::string_view rest = value.text;
    RebootMethod method = options.reboot;
    while (!rest.empty()) {
        const std::string_view part = text::take_part(rest, ',');
        switch (part.empty() ? '\0' : part.front()) {
            case 't': method = RebootMethod::triple_fault; break;
            case 'k': method = RebootMethod::keyboard; break;
            case 'a': method = RebootMethod::acpi; break;
            case 'p': method = RebootMethod::pci; break;
            case 'P': method = RebootMethod::power; break;
            case 'e': method = RebootMethod::efi; break;
            case 'n': method = RebootMethod::none; break;
            case 'w':
            case 'c': break;
            default: return false;
        }
    }
    options.reboot = method;
    return !value.text.empty();
}

bool read_watchdog(Options& options, const Value& value) {
    if (value.text == "force") {
        options.watchdog = Watchdog::force;
        return true;
    }
    const auto on = value.given ? text::parse_switch(value.text) : std::optional(true);
    if (on) options.watchdog = *on ? Watchdog::on : Watchdog::off;
    return on.has_value();
}

}  // namespace xylem::init
