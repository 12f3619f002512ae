// SPDX-License-Identifier: MIT
#include "init/options.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "core/console/console.hpp"
#include "init/boot_info.hpp"

using namespace xylem;
using namespace xylem::init;

namespace {

struct Parsed {
    Options options;
    std::string log;
};

Parsed parse(std::string_view line) {
    auto& console = console::the_console();
    console::Settings settings;
    settings.log = {4, 4};
    console.configure(settings);
    u32 index = console.start_read(false, 0);
    char chunk[512];
    while (console.read_ring(index, chunk) > 0) {
    }
    Parsed parsed;
    parse_options(line, parsed.options);
    for (usize n = 0; (n = console.read_ring(index, chunk)) > 0;) parsed.log.append(chunk, n);
    return parsed;
}

TEST(Options, TypicalDebianLine) {
    const auto [o, log] = parse(
        "placeholder dom0_mem=2048M,max:4G dom0_max_vcpus=2-4 console=com1,vga com1=115200,8n1 loglvl=all "
        "guest_loglvl=warning/all "
        "no-smt iommu=soft ucode=scan noreboot=false watchdog no-real-mode edd=off");
    EXPECT_EQ(o.dom0_mem.initial, (MemoryAmount{.given = true, .bytes = 2 * gib}));
    EXPECT_EQ(o.dom0_mem.most, (MemoryAmount{.given = true, .bytes = 4 * gib}));
    EXPECT_FALSE(o.dom0_mem.least.given);
    EXPECT_EQ(o.dom0_max_vcpus, (VcpuRange{2, 4}));
    EXPECT_TRUE(o.console.com1 && o.console.vga && !o.console.com2);
    EXPECT_EQ(o.com1.baud, 115200u);
    EXPECT_TRUE(o.com1.given);
    EXPECT_EQ(o.loglvl, (console::Thresholds{4, 4}));
    EXPECT_EQ(o.guest_loglvl, (console::Thresholds{2, 4}));
    EXPECT_FALSE(o.smt);
    EXPECT_FALSE(o.noreboot);
    EXPECT_EQ(o.watchdog, Watchdog::on);
    EXPECT_EQ(log.find("unknown"), std::string::npos) << log;
    EXPECT_EQ(log.find("value must be"), std::string::npos) << log;
    EXPECT_NE(log.find("option 'ucode' has no effect"), std::string::npos) << log;
}

TEST(Options, FileNameIsSkipped) {
    BootInfo boot;
    const auto line = [&](std::string_view loader, bool multiboot2, std::string_view text) {
        boot.loader = loader;
        boot.multiboot2 = multiboot2;
        return boot.without_file_name(text);
    };
    EXPECT_EQ(line("qemu", false, "/boot/xen.gz  nosmp x"), "nosmp x");
    EXPECT_EQ(line("", false, "/boot/xen.gz"), "");
    EXPECT_EQ(line("", false, ""), "");
    EXPECT_EQ(line("GRUB 2.06-13", false, "nosmp"), "nosmp");
    EXPECT_EQ(line("any", true, " nosmp"), "nosmp");
}

TEST(BootInfo, RamEndsAtALimit) {
    const auto with_limit = [](u64 limit, u64 module_end) {
        BootInfo boot;
        boot.ranges[0] = {.start = 0, .bytes = 4 * mib, .kind = MemoryKind::ram};
        boot.ranges[1] = {.start = 4 * mib, .bytes = mib, .kind = MemoryKind::acpi};
        boot.ranges[2] = {.start = 5 * mib, .bytes = 5 * mib, .kind = MemoryKind::ram};
        boot.ranges[3] = {.start = 16 * mib, .bytes = mib, .kind = MemoryKind::ram};
        boot.range_count = 4;
        boot.modules[0] = {.start = Maddr(mib), .bytes = module_end - mib, .command_line = ""};
        boot.module_count = 1;
        boot.limit_ram(limit);
        std::string map;
        for (const MemoryRange& r : boot.memory())
            map += std::to_string(r.start / kib) + "+" + std::to_string(r.bytes / kib) + ":" +
                   std::to_string(static_cast<u32>(r.kind)) + " ";
        return map;
    };
    EXPECT_EQ(with_limit(32 * mib, 2 * mib), "0+4096:1 4096+1024:3 5120+5120:1 16384+1024:1 ");
    EXPECT_EQ(with_limit(10 * mib, 2 * mib), "0+4096:1 4096+1024:3 5120+5120:1 16384+1024:2 ");
    EXPECT_EQ(with_limit(8 * mib - 5, 2 * mib), "0+4096:1 4096+1024:3 5120+3072:1 8192+2048:2 16384+1024:2 ");
    EXPECT_EQ(with_limit(kib, 2 * mib), "0+2048:1 2048+2048:2 4096+1024:3 5120+5120:2 16384+1024:2 ") << "the module stays RAM";
}

TEST(Options, Booleans) {
    for (const char* line : {"smep=off", "smep=no", "smep=0", "no-smep", "smep=false", "smep smep=disable"})
        EXPECT_FALSE(parse(line).options.smep) << line;
    for (const char* line : {"smep", "smep=on", "smep=1", "no-smep smep=yes", "smep=enable"})
        EXPECT_TRUE(parse(line).options.smep) << line;
    EXPECT_TRUE(parse("nosmp=off").options.smp);
    EXPECT_TRUE(parse("dom0-vcpus-pin").options.dom0_vcpus_pin) << "dashes are underscores";
}

TEST(Options, UnknownAndMalformedAreNamed) {
    EXPECT_EQ(parse("foo").log, "(XEN) unknown option 'foo' ignored\n");
    EXPECT_EQ(parse("no-foo=3").log, "(XEN) unknown option 'no-foo' ignored\n");
    EXPECT_EQ(parse("=").log, "(XEN) unknown option '' ignored\n");
    EXPECT_EQ(parse("smep=maybe").log, "(XEN) option 'smep=maybe' ignored: the value must be on|off\n");
    EXPECT_EQ(parse("maxcpus=-1").log, "(XEN) option 'maxcpus=-1' ignored: the value must be <number>\n");
    EXPECT_TRUE(parse("smep=maybe").options.smep);
    for (const char* line :
         {"console=",    "console=tty0",  "com1=fast",       "conring_size=big", "conring_size=0",      "console_timestamps=soon",
          "conswitch=",  "conswitch=abc", "conswitch=1",     "dom0_max_vcpus=0", "dom0_max_vcpus=4-2",  "dom0_max_vcpus=-",
          "dom0_mem=",   "dom0_mem=max:", "dom0_mem=1Q",     "dom0_mem=101%",    "dom0_mem=512M,min:x", "mem=",
          "reboot=",     "reboot=x",      "clocksource=sun", "vga=no",           "watchdog=maybe",      "watchdog_timeout=0",
          "loglvl=loud", "x2apic=2",      "no-maxcpus"}) {
        EXPECT_NE(parse(line).log.find("value must be"), std::string::npos) << line;
    }
}

TEST(Options, MalformedValueKeepsTheDefault) {
    const auto o = parse("dom0_mem=512M,min:x console=vga,tty").options;
    EXPECT_EQ(o.dom0_mem, Dom0Memory{});
    EXPECT_EQ(o.console, ConsoleChoice{});
}

TEST(Options, Dom0Memory) {
    const u64 total = 8 * gib;
    EXPECT_EQ(parse("dom0_mem=524288").options.dom0_mem.initial.of(total), 512 * mib) << "KiB without a unit";
    EXPECT_EQ(parse("dom0_mem=-1G").options.dom0_mem.initial.of(total), 7 * gib);
    EXPECT_EQ(parse("dom0_mem=-9G").options.dom0_mem.initial.of(total), 0u);
    EXPECT_EQ(parse("dom0_mem=25%").options.dom0_mem.initial.of(total), 2 * gib);
    EXPECT_EQ(parse("dom0_mem=1G+25%").options.dom0_mem.initial.of(total), 3 * gib);
    EXPECT_EQ(parse("dom0_mem=16777215T").options.dom0_mem.initial.of(total), total);
    EXPECT_EQ(parse("dom0_mem=16777215T+100%").options.dom0_mem.initial.of(total), total);
    EXPECT_EQ(parse("dom0_mem=max:1G").options.dom0_mem.initial_of(total, total), 1 * gib);
    EXPECT_EQ(parse("dom0_mem=100M,min:256M").options.dom0_mem.initial_of(total, total), 256 * mib);
    EXPECT_EQ(parse("").options.dom0_mem.initial_of(total, total - gib), 7 * gib);
}

TEST(Options, Values) {
    EXPECT_EQ(parse("dom0_max_vcpus=3").options.dom0_max_vcpus, (VcpuRange{3, 3}));
    EXPECT_EQ(parse("dom0_max_vcpus=-8").options.dom0_max_vcpus, (VcpuRange{1, 8}));
    EXPECT_EQ(parse("dom0_max_vcpus=4-").options.dom0_max_vcpus, (VcpuRange{4, ~u32{0}}));
    EXPECT_EQ(parse("conring_size=33k").options.conring_size, 64 * kib);
    EXPECT_EQ(parse("conring_size=1b").options.conring_size, 4 * kib);
    EXPECT_EQ(parse("conring_size=1T").options.conring_size, 16 * mib);
    EXPECT_EQ(parse("conswitch=b").options.conswitch, (SwitchKey{'b', true}));
    EXPECT_EQ(parse("conswitch=ax").options.conswitch, (SwitchKey{'a', false}));
    EXPECT_EQ(parse("conswitch=`").options.conswitch, (SwitchKey{0, true}));
    EXPECT_EQ(parse("console_timestamps").options.console_timestamps, console::Timestamps::date);
    EXPECT_EQ(parse("console_timestamps=boot").options.console_timestamps, console::Timestamps::boot);
    EXPECT_EQ(parse("console=none").options.console, (ConsoleChoice{false, false, false}));
    EXPECT_EQ(parse("reboot=acpi,cold").options.reboot, RebootMethod::acpi);
    EXPECT_EQ(parse("reboot=P").options.reboot, RebootMethod::power);
    EXPECT_TRUE(parse("vga=gfx-1024x768x32,keep").options.vga_keep);
    EXPECT_EQ(parse("clocksource=hpet").options.clocksource, ClockSource::hpet);
    EXPECT_EQ(parse("mem=4G").options.mem, 4 * gib);
    const auto settings = console_settings(parse("conswitch=cx console_to_ring loglvl=error/info").options);
    EXPECT_EQ(settings.switch_letter, 'c');
    EXPECT_FALSE(settings.switch_at_start);
    EXPECT_TRUE(settings.guest_to_ring);
    EXPECT_EQ(settings.log, (console::Thresholds{1, 3}));
}

TEST(Options, Dom0ArgumentsFollowDashes) {
    const auto parsed = parse("nosmp --  root=/dev/sda1 quiet");
    EXPECT_EQ(parsed.options.dom0_arguments, "root=/dev/sda1 quiet");
    EXPECT_EQ(parsed.log, "");
    EXPECT_EQ(parse("nosmp --").options.dom0_arguments, "");
}

std::string page() {
    text::FixedText<32768> out;
    out.write("# Boot options\n\n");
    out.write("Generated from the table in `init/options.cpp`; the unit tests fail when this page is stale.\n");
    out.write("Write it anew with `XYLEM_UPDATE_DOCS=1 unit_tests --gtest_filter='Options.*'`.\n\n");
    out.write("- Words are separated by blanks; of two equal options the last one counts. Names may have `-` for `_`.\n");
    out.write(
        "- A switch is on when named alone, `NAME=on|yes|true|enable|1` or `off|no|false|disable|0`, or off as `no-NAME`.\n");
    out.write(
        "- Numbers are decimal, or hexadecimal after `0x`. Sizes end in B, K, M, G or T; without a letter the unit is KiB.\n");
    out.write("- Unknown words and malformed values are named in the log (`xl dmesg`) and ignored.\n");
    out.write("- What follows a lone `--` is for dom0's kernel.\n\n");
    out.write("| option | value | default | meaning |\n|---|---|---|---|\n");
    const Options defaults;
    const auto cell = [&out](std::string_view s) {
        for (const char c : s) {
            if (c == '|') out.write("\\");
            out.write({&c, 1});
        }
    };
    for (const Option& row : option_table()) {
        if (row.apply == nullptr) continue;
        text::FixedText<128> shown;
        row.show(defaults, shown);
        text::format(out, "| `{}` | `", row.name);
        cell(row.syntax);
        text::format(out, "` | {}{}{} | ", shown.view().empty() ? "" : "`", shown.view(), shown.view().empty() ? "" : "`");
        cell(row.description);
        out.write(" |\n");
    }
    out.write("\nKnown from Xen, accepted without effect:\n\n");
    for (const Option& row : option_table())
        if (row.apply == nullptr) text::format(out, "- `{}`: {}\n", row.name, row.description);
    EXPECT_FALSE(out.truncated());
    return std::string(out.view());
}

TEST(Options, PageIsCurrent) {
    const std::filesystem::path path = std::filesystem::path(__FILE__).parent_path() / "../../../docs/boot-options.md";
    if (std::getenv("XYLEM_UPDATE_DOCS") != nullptr) std::ofstream(path) << page();
    std::ifstream file(path);
    std::stringstream stored;
    stored << file.rdbuf();
    EXPECT_EQ(stored.str(), page()) << "run with XYLEM_UPDATE_DOCS=1 to write docs/boot-options.md";
}

TEST(Options, TableIsSound) {
    std::set<std::string_view> names;
    for (const Option& row : option_table()) {
        EXPECT_TRUE(names.insert(row.name).second) << row.name;
        EXPECT_EQ(row.apply == nullptr, row.show == nullptr) << row.name;
        if (row.apply == nullptr) continue;
        // What is shown can be typed.
        Options options;
        text::FixedText<128> shown;
        row.show(options, shown);
        const std::string line = std::string(row.name) + "=" + std::string(shown.view());
        if (!shown.view().empty()) EXPECT_EQ(parse(line).log, "") << line;
    }
}

}  // namespace
