// SPDX-License-Identifier: MIT
#include "init/options.hpp"

#include <algorithm>
#include <type_traits>

#include "base/log.hpp"
#include "base/text/parse.hpp"
#include "init/options_values.hpp"

namespace xylem::init {
namespace {

using Value = Option::Value;
using text::Sink;

// --- rows for the common kinds; `Member` is a pointer to a member of Options ---

template <auto Member>
constexpr Option flag(std::string_view name, std::string_view description) {
    return {name, "on|off", description,
            [](Options& options, const Value& value) {
                const auto on = value.given ? text::parse_switch(value.text) : std::optional(true);
                if (on) options.*Member = *on;
                return on.has_value();
            },
            [](const Options& options, Sink& out) { out.write(options.*Member ? "on" : "off"); }};
}

// A flag whose name says the opposite of the member: "nosmp".
template <auto Member>
constexpr Option opposite_flag(std::string_view name, std::string_view description) {
    return {name, "on|off", description,
            [](Options& options, const Value& value) {
                const auto on = value.given ? text::parse_switch(value.text) : std::optional(true);
                if (on) options.*Member = !*on;
                return on.has_value();
            },
            [](const Options& options, Sink& out) { out.write(options.*Member ? "off" : "on"); }};
}

template <auto Member, u64 Low, u64 High>
constexpr Option number(std::string_view name, std::string_view description) {
    return {name, "<number>", description,
            [](Options& options, const Value& value) {
                const auto n = text::parse_number(value.text);
                if (!n || *n < Low || *n > High) return false;
                options.*Member = static_cast<std::remove_reference_t<decltype(options.*Member)>>(*n);
                return true;
            },
            [](const Options& options, Sink& out) { text::format(out, "{}", options.*Member); }};
}

// One of `Names`, in the order of the member's enumeration.
template <auto Member, const auto& Names>
constexpr Option choice(std::string_view name, std::string_view syntax, std::string_view description) {
    return {name, syntax, description,
            [](Options& options, const Value& value) {
                using Enum = std::remove_reference_t<decltype(options.*Member)>;
                const auto* found = std::find(std::begin(Names), std::end(Names), value.text);
                if (found == std::end(Names)) return false;
                options.*Member = static_cast<Enum>(found - std::begin(Names));
                return true;
            },
            [](const Options& options, Sink& out) { out.write(Names[static_cast<usize>(options.*Member)]); }};
}

template <auto Member>
constexpr Option thresholds(std::string_view name, std::string_view description) {
    return {name, "<level>[/<rate-limited level>]", description,
            [](Options& options, const Value& value) {
                const auto parsed = console::parse_thresholds(value.text);
                if (parsed) options.*Member = *parsed;
                return parsed.has_value();
            },
            [](const Options& options, Sink& out) { show_thresholds(options.*Member, out); }};
}

template <auto Member>
constexpr Option serial(std::string_view name, std::string_view description) {
    return {name, "<baud>|auto[/<base baud>][,<data bits><parity><stop bits>[,<I/O base>[,<irq>]]]", description,
            [](Options& options, const Value& value) { return uart::parse_config(value.text, options.*Member); },
            [](const Options& options, Sink& out) { show_uart(options.*Member, out); }};
}

constexpr Option without_effect(std::string_view name, std::string_view why) {
    return {name, "…", why};
}

constexpr std::string_view clock_names[] = {"auto", "tsc", "hpet", "acpi", "pit"};
constexpr std::string_view timestamp_names[] = {"none", "date", "datems", "boot", "raw"};
constexpr std::string_view reboot_names[] = {"", "triple", "kbd", "acpi", "pci", "Power", "efi", "no"};
constexpr std::string_view nmi_names[] = {"ignore", "dom0", "fatal"};
constexpr std::string_view watchdog_names[] = {"off", "on", "force"};

constexpr Option rows[] = {
    choice<&Options::clocksource, clock_names>(
        "clocksource", "auto|tsc|hpet|acpi|pit",
        "The timer that the TSC is steered by; `tsc` and `auto` take the best that is there."),
    serial<&Options::com1>("com1", "The first serial port. `auto` keeps the firmware's speed; irq 0 polls."),
    serial<&Options::com2>("com2", "The second serial port."),
    {"conring_size", "<size>", "Size of the buffer behind `xl dmesg`, rounded up to a power of two (4K to 16M).",
     read_conring_size, [](const Options& o, Sink& out) { show_size(o.conring_size, out); }},
    {"console", "com1|com2|vga|none[,…]", "Where the hypervisor prints. Ports that do not answer are left out.", read_console,
     show_console},
    {"console_timestamps", "none|date|datems|boot|raw",
     "Time in front of each line: date and time, the same with milliseconds, seconds since start, or the clock's count.",
     read_timestamps, [](const Options& o, Sink& out) { out.write(timestamp_names[static_cast<usize>(o.console_timestamps)]); }},
    flag<&Options::console_to_ring>("console_to_ring", "Keeps dom0's console output in the buffer behind `xl dmesg`, too."),
    {"conswitch", "<letter>[x]",
     "Ctrl and this letter, three times, moves serial input between dom0 and the hypervisor. With x input does not move to dom0 "
     "at its start; a back-tick as the letter turns switching off.",
     read_conswitch, show_conswitch},
    {"dom0_max_vcpus", "<n>|<min>-<max>",
     "Number of dom0's virtual CPUs: exactly, or as many as there are CPUs within the range.", read_dom0_max_vcpus,
     show_dom0_max_vcpus},
    {"dom0_mem", "<amount>|min:<amount>|max:<amount>[,…]",
     "Memory of dom0: at start, at least, at most. An amount is a size, a share (`25%`), or both (`512M+10%`); a minus in front "
     "means all memory but that.",
     read_dom0_mem, show_dom0_mem},
    flag<&Options::dom0_vcpus_pin>("dom0_vcpus_pin", "Ties each of dom0's virtual CPUs to the CPU with its number."),
    thresholds<&Options::guest_loglvl>("guest_loglvl", "As loglvl, for messages that guests cause; always within a budget."),
    number<&Options::gnttab_max_frames, 1, 65536>("gnttab_max_frames", "Frames of dom0's grant table; xl says it for guests."),
    number<&Options::gnttab_max_maptrack_frames, 1, 65536>(
        "gnttab_max_maptrack_frames",
        "Frames of dom0's list of what it has mapped of others' grants, 256 in each; xl says it for guests."),
    flag<&Options::hpet>("hpet", "Use of the HPET timer."),
    thresholds<&Options::loglvl>("loglvl",
                                 "Messages that are printed: none, error, warning, info, debug (or all). Behind the slash: those "
                                 "printed at a limited rate. `xl dmesg` has errors, warnings and information in any case."),
    number<&Options::maxcpus, 0, 4096>("maxcpus", "CPUs used at most; 0 is all."),
    {"mem", "<size>",
     "RAM above this machine address is not used and left to dom0 as device memory; it ends behind the boot modules at the "
     "earliest.",
     [](Options& o, const Value& v) {
         const auto size = text::parse_size(v.text);
         if (size) o.mem = *size;
         return size.has_value();
     },
     [](const Options& o, Sink& out) { return o.mem != 0 ? show_size(o.mem, out) : out.write(""); }},
    flag<&Options::msi>("msi", "Message-signalled interrupts for dom0's devices; without, its drivers use lines."),
    choice<&Options::nmi, nmi_names>("nmi", "ignore|dom0|fatal",
                                     "What an NMI of the hardware does: nothing, an NMI for dom0, or a report and the end."),
    flag<&Options::noreboot>("noreboot", "Stops after a crash instead of restarting the machine."),
    opposite_flag<&Options::smp>("nosmp", "Uses only the first CPU."),
    {"reboot", "t[riple]|k[bd]|a[cpi]|p[ci]|P[ower]|e[fi]|n[o][,w[arm]|c[old]]", "How the machine is restarted.", read_reboot,
     [](const Options& o, Sink& out) { out.write(reboot_names[static_cast<usize>(o.reboot)]); }},
    number<&Options::sched_ratelimit_us, 0, 500000>(
        "sched_ratelimit_us",
        "Shortest run of a virtual CPU, in microseconds, until `xl sched-credit2 -s` says otherwise; 0 sets no minimum."),
    flag<&Options::smap>("smap", "Supervisor-mode access prevention."),
    flag<&Options::smep>("smep", "Supervisor-mode execution prevention."),
    flag<&Options::smt>("smt", "Use of the second and further threads of each core."),
    {"vga", "keep[,…]", "With keep the hypervisor goes on printing on the screen after dom0's start. Mode words change nothing.",
     read_vga, [](const Options& o, Sink& out) { out.write(o.vga_keep ? "keep" : ""); }},
    {"watchdog", "on|off|force", "Restarts the machine when a CPU hangs.", read_watchdog,
     [](const Options& o, Sink& out) { out.write(watchdog_names[static_cast<usize>(o.watchdog)]); }},
    number<&Options::watchdog_timeout, 1, 3600>("watchdog_timeout", "Seconds without progress that count as a hang."),
    flag<&Options::x2apic>("x2apic", "The x2APIC mode of the interrupt controllers."),

    without_effect("acpi", "the firmware's tables are always used"),
    without_effect("acpi_skip_timer_override", "the legacy timer's interrupt is not used"),
    without_effect("allowsuperpage", "PV guests map pages of 4 KiB only"),
    without_effect("apic", "the local APICs' mode follows x2apic"),
    without_effect("apic_verbosity", "use loglvl=debug"),
    without_effect("bootscrub", "memory is cleared when a guest gets it"),
    without_effect("cpufreq", "frequencies are left to the firmware"),
    without_effect("cpuid", "not implemented; xl's cpuid= is, for guests"),
    without_effect("cpuid_mask_cpu", "not implemented; xl's cpuid= is, for guests"),
    without_effect("cpuidle", "idle processors halt; deeper states are not used"),
    without_effect("crashkernel", "kexec is not implemented"),
    without_effect("dom0", "dom0 is a PV guest"),
    without_effect("dom0-iommu", "no IOMMU is used"),
    without_effect("edd", "dom0 asks the firmware itself"),
    without_effect("edid", "dom0 asks the firmware itself"),
    without_effect("ept", "there are no HVM guests"),
    without_effect("gnttab", "both versions are there; xl's max_grant_version limits a guest's"),
    without_effect("iommu", "no IOMMU is used"),
    without_effect("max_cstate", "idle processors halt; deeper states are not used"),
    without_effect("mce", "a machine check stops the machine with a report"),
    without_effect("no-real-mode", "the firmware is not called in real mode"),
    without_effect("noapic", "the I/O APICs are always used"),
    without_effect("pcid", "process-context identifiers are not used"),
    without_effect("pv", "only 64-bit PV guests are there"),
    without_effect("pv-l1tf", "there are no mitigations of speculative execution"),
    without_effect("sched", "there is one scheduler, with the parameters of credit2"),
    without_effect("sched_credit_tslice_ms", "a virtual CPU runs 10 ms while others wait"),
    without_effect("spec-ctrl", "there are no mitigations of speculative execution"),
    without_effect("sync_console", "the console always prints at once"),
    without_effect("tsc", "how the TSC counts is measured; see clocksource"),
    without_effect("tsx", "left as the firmware set it"),
    without_effect("ucode", "microcode is left to the firmware"),
    without_effect("xpti", "there are no mitigations of speculative execution"),
    without_effect("xsave", "used where the processor has it"),
};

// '-' and '_' are the same letter in a name.
bool same_name(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](char x, char y) { return (x == '_' ? '-' : x) == (y == '_' ? '-' : y); });
}

const Option* find_row(std::string_view name) {
    for (const Option& row : rows)
        if (same_name(row.name, name)) return &row;
    return nullptr;
}

void parse_word(std::string_view word, Options& options) {
    std::string_view rest = word;
    const std::string_view name = text::take_part(rest, '=');
    Value value{.text = rest, .given = word.find('=') != std::string_view::npos};
    const Option* row = find_row(name);
    if (row == nullptr && !value.given && (name.starts_with("no-") || name.starts_with("no_"))) {
        row = find_row(name.substr(3));
        value = {.text = "no", .given = true};
    }
    if (row == nullptr) return log::warning("unknown option '{}' ignored", name);
    if (row->apply == nullptr) return log::info("option '{}' has no effect: {}", name, row->description);
    if (!row->apply(options, value)) log::warning("option '{}' ignored: the value must be {}", word, row->syntax);
}

}  // namespace

std::span<const Option> option_table() {
    return rows;
}

void parse_options(std::string_view line, Options& options) {
    for (;;) {
        const std::string_view word = text::take_word(line);
        if (word.empty()) return;
        if (word == "--") break;
        if (word != "placeholder") parse_word(word, options);  // GRUB puts it where old loaders lost the first word
    }
    const usize start = line.find_first_not_of(" \t\r\n");
    options.dom0_arguments = start == std::string_view::npos ? std::string_view("") : line.substr(start);
}

console::Settings console_settings(const Options& options) {
    return {.log = options.loglvl,
            .guest_log = options.guest_loglvl,
            .timestamps = options.console_timestamps,
            .switch_letter = options.conswitch.letter,
            .switch_at_start = options.conswitch.at_start,
            .guest_to_ring = options.console_to_ring};
}

u64 MemoryAmount::of(u64 total) const {
    // total / 100 * percent would lose up to 100 bytes a percent; total is far below 2^57.
    u64 amount = 0;
    if (__builtin_add_overflow(bytes, total / 100 * percent + total % 100 * percent / 100, &amount)) amount = ~u64{0};
    amount = std::min(amount, total);
    return negative ? total - amount : amount;
}

u64 Dom0Memory::initial_of(u64 available, u64 otherwise) const {
    u64 amount = initial.given ? initial.of(available) : std::min(otherwise, available);
    if (least.given) amount = std::max(amount, least.of(available));
    if (most.given) amount = std::min(amount, most.of(available));
    return amount;
}

}  // namespace xylem::init
