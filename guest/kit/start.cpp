// SPDX-License-Identifier: MIT
#include "guest/kit/start.hpp"

#include <algorithm>
#include <cstring>

#include "base/log.hpp"
#include "base/panic.hpp"
#include "base/text/parse.hpp"
#include "guest/kit/calls.hpp"
#include "guest/kit/console.hpp"
#include "guest/kit/cpu.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/traps.hpp"

extern "C" {
[[noreturn]] void kit_start(const start_info_t* info);
extern const xylem::kit::BootRegisters kit_boot_registers;
}

namespace xylem::kit {
namespace {

const start_info_t* info;
alignas(page_size) u8 shared_info_page[page_size];  // its address is given to the hypervisor's page

void check_start_info() {
    if (!std::string_view(info->magic, sizeof info->magic).starts_with("xen-3.0-x86_64"))
        panic("start_info: the magic is not xen-3.0-x86_64");
    if (info->nr_pages == 0 || info->pt_base == 0 || info->nr_pt_frames == 0 || (info->pt_base & page_mask) != 0)
        panic("start_info: {} pages, page tables at {:#x} ({} frames) cannot be", info->nr_pages, info->pt_base,
              info->nr_pt_frames);
    if (info->shared_info == 0 || (info->shared_info & page_mask) != 0)
        panic("start_info: shared_info at {:#x} cannot be", info->shared_info);
}

void map_shared_info() {
    constexpr u64 present_writable = 7;
    if (const long r = update_va_mapping(word(shared_info_page), info->shared_info | present_writable, UVMF_INVLPG); r != 0)
        panic("update_va_mapping of shared_info: {}", r);
}

}  // namespace

shared_info_t& shared() {
    return *reinterpret_cast<shared_info_t*>(shared_info_page);
}
const start_info_t& boot_info() {
    return *info;
}
bool is_dom0() {
    return (info->flags & SIF_INITDOMAIN) != 0;
}
std::string_view command_line() {
    const auto* text = reinterpret_cast<const char*>(info->cmd_line);
    const std::string_view all(text, sizeof info->cmd_line);
    return all.substr(0, all.find('\0'));
}
std::string_view option(std::string_view name) {
    std::string_view rest = command_line();
    while (true) {
        std::string_view part = text::take_word(rest);
        if (part.empty()) return {};
        if (text::take_prefix(part, name) && text::take_prefix(part, "=")) return part;
    }
}
const BootRegisters& boot_registers() {
    return kit_boot_registers;
}

void shut_down(Shutdown reason) {
    flush_console();
    sched_shutdown_t request{.reason = static_cast<unsigned>(reason)};
    sched_op(SCHEDOP_shutdown, &request);
    while (true) block();
}

}  // namespace xylem::kit

namespace xylem {

void panic_with(std::string_view reason) {
    kit::print("panic: {}", reason);
    kit::shut_down(kit::Shutdown::crash);
}
void bug_at(const char* condition, const char* file, unsigned line) {
    panic("bug: {} ({}:{})", condition, file, line);
}
void log::emit(log::Level level, std::string_view line) {
    constexpr std::string_view words[] = {"error: ", "warning: ", "", "debug: "};
    kit::print("{}{}", words[static_cast<u8>(level) & 3], line);
}

}  // namespace xylem

void kit_start(const start_info_t* start) {
    using namespace xylem::kit;
    info = start;
    Cpu& cpu = cpu_of(0);
    set_up_cpu(cpu);
    start_console(*info);
    check_start_info();
    map_shared_info();
    cpu.info = &shared().vcpu_info[0];
    install_traps();
    start_memory(*info);
    finish_console();
    guest_main();
    // A dom0's power off only halts the machine: switching it off would be the work of an ACPI driver.
    shut_down(is_dom0() ? Shutdown::reboot : Shutdown::power_off);
}
