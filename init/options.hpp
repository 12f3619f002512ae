// SPDX-License-Identifier: MIT
// The hypervisor's command line. Names and values are Xen's; docs/boot-options.md is generated from the table in options.cpp.
#pragma once

#include <span>
#include <string_view>

#include "base/text/format.hpp"
#include "base/types.hpp"
#include "core/console/settings.hpp"
#include "core/domain/grant_limits.hpp"
#include "core/sched/scheduler.hpp"
#include "drivers/uart/config.hpp"

namespace xylem::init {

// An amount of memory as dom0_mem= tells it: bytes plus a share of all memory, or all memory without that much.
struct MemoryAmount {
    bool given = false;
    bool negative = false;  // "all but"
    u64 bytes = 0;
    u8 percent = 0;  // of all memory, added to `bytes`

    // The amount in bytes, for a machine with `total` bytes; between 0 and `total`.
    u64 of(u64 total) const;
    constexpr bool operator==(const MemoryAmount&) const = default;
};

struct Dom0Memory {
    MemoryAmount initial;  // not given: nearly everything
    MemoryAmount least;    // not given: 0
    MemoryAmount most;     // not given: no limit
    constexpr bool operator==(const Dom0Memory&) const = default;

    // What dom0 starts with, in bytes, when `available` bytes are free for it. `otherwise` is used if no initial is given.
    u64 initial_of(u64 available, u64 otherwise) const;
};

struct VcpuRange {
    u32 least = 1;
    u32 most = ~u32{0};
    constexpr bool operator==(const VcpuRange&) const = default;
};

struct ConsoleChoice {
    bool com1 = true;
    bool com2 = false;
    bool vga = true;
    constexpr bool operator==(const ConsoleChoice&) const = default;
};

struct SwitchKey {
    char letter = 'a';  // 0: no switching
    bool at_start = true;
    constexpr bool operator==(const SwitchKey&) const = default;
};

enum class ClockSource : u8 { automatic, tsc, hpet, acpi, pit };
enum class RebootMethod : u8 { automatic, triple_fault, keyboard, acpi, pci, power, efi, none };
enum class Watchdog : u8 { off, on, force };
enum class NmiAction : u8 { ignore, dom0, fatal };

// Every setting with its default. The views point into the command line.
struct Options {
    // console
    ConsoleChoice console;
    uart::Config com1 = uart::com1_defaults;
    uart::Config com2 = uart::com2_defaults;
    u64 conring_size = 16 * kib;
    bool console_to_ring = false;
    console::Timestamps console_timestamps = console::Timestamps::none;
    SwitchKey conswitch;
    console::Thresholds loglvl{3, 3};
    console::Thresholds guest_loglvl{0, 2};
    bool vga_keep = false;
    // memory
    u64 mem = 0;  // machine address where RAM ends at the latest; 0: all is used
    Dom0Memory dom0_mem;
    u32 gnttab_max_frames = grant::Limits{}.max_frames;                    // dom0's
    u32 gnttab_max_maptrack_frames = grant::Limits{}.max_maptrack_frames;  // dom0's
    // CPUs
    VcpuRange dom0_max_vcpus;
    bool dom0_vcpus_pin = false;
    u32 maxcpus = 0;  // 0: all
    bool smp = true;  // false: "nosmp"
    bool smt = true;
    bool smep = true;
    bool smap = true;
    bool x2apic = true;
    bool hpet = true;
    // time and scheduling
    ClockSource clocksource = ClockSource::automatic;
    u32 sched_ratelimit_us = sched::default_ratelimit / 1000;
    // machine
    bool msi = true;
    NmiAction nmi = NmiAction::dom0;
    bool noreboot = false;
    RebootMethod reboot = RebootMethod::automatic;
    Watchdog watchdog = Watchdog::off;
    u32 watchdog_timeout = 5;  // seconds
    // What follows a lone "--": belongs to dom0's kernel.
    std::string_view dom0_arguments = "";
};

// Reads the words of `line` into `options`; the last of two equal options wins. Unknown and malformed words are logged by name
// and ignored. `line` must live as long as `options`. No locks; may run before the console has devices.
void parse_options(std::string_view line, Options& options);

// The console's part, ready for Console::configure().
console::Settings console_settings(const Options& options);

// One row of the table.
struct Option {
    struct Value {
        std::string_view text;  // behind '='; "no" for no-NAME
        bool given;             // there was a '=' or "no-"
    };

    std::string_view name;
    std::string_view syntax;                              // the value, for people: "<size>", "on|off"
    std::string_view description;                         // one sentence
    bool (*apply)(Options&, const Value&) = nullptr;      // false: malformed. Null: known, but without effect here
    void (*show)(const Options&, text::Sink&) = nullptr;  // prints the value in its own syntax
};

std::span<const Option> option_table();

}  // namespace xylem::init
