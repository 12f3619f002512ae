// SPDX-License-Identifier: MIT
#include "arch/x86/time/platform_timer.hpp"

#include "arch/x86/mm/ioremap.hpp"
#include "base/log.hpp"
#include "base/panic.hpp"
#include "cpu/irqflags.hpp"
#include "cpu/mmio.hpp"
#include "cpu/port_io.hpp"

namespace xylem::time {

namespace {

// [ACPI 6.5, 4.8.3.3]
constexpr u64 pm_timer_hertz = 3'579'545;

// [IA-PC HPET 1.0a, 2.3]
constexpr usize hpet_size = 0x400;
constexpr usize hpet_capabilities = 0x000;
constexpr usize hpet_period = 0x004;  // femtoseconds
constexpr usize hpet_configuration = 0x010;
constexpr usize hpet_counter = 0x0f0;
constexpr usize hpet_first_timer = 0x100;
constexpr usize hpet_timer_distance = 0x20;
constexpr u32 hpet_enable = 1;
constexpr u32 hpet_legacy_routes = 2;
constexpr u32 hpet_timer_interrupt = 4;
constexpr u32 hpet_slowest_period = 100'000'000;
constexpr u64 femtos_per_second = 1'000'000'000'000'000;

// [8254 datasheet; channel 2's gate is bit 0 of port 0x61, bit 1 its way to the speaker]
constexpr u64 pit_hertz = 1'193'182;
constexpr u16 pit_channel2 = 0x42;
constexpr u16 pit_command = 0x43;
constexpr u16 pit_gate = 0x61;
constexpr u8 pit_gate_on = 1;
constexpr u8 pit_speaker = 2;
constexpr u8 pit_channel2_rate_generator = 0xb4;  // low then high byte, mode 2, binary
constexpr u8 pit_latch_channel2 = 0x80;

constexpr Source by_quality[] = {Source::hpet, Source::acpi, Source::pit};

}  // namespace

std::string_view name_of(Source source) {
    switch (source) {
        case Source::hpet: return "hpet";
        case Source::acpi: return "acpi";
        case Source::pit: return "pit";
    }
    return "?";
}

void PlatformTimer::init(const acpi::PlatformInfo& info, std::optional<Source> wanted) {
    if (wanted) {
        if (try_start(*wanted, info)) return;
        log::warning("Time: clocksource={} is not there or does not count; choosing another one.", name_of(*wanted));
    }
    for (const Source source : by_quality)
        if (try_start(source, info)) return;
    panic("No clock counts (HPET, ACPI PM timer and PIT tried): time cannot be kept.");
}

bool PlatformTimer::try_start(Source source, const acpi::PlatformInfo& info) {
    source_ = source;
    switch (source) {
        case Source::hpet: return info.hpet.raw != 0 && start_hpet(info.hpet) && runs();
        case Source::acpi: return start_pm_timer(info.pm_timer) && runs();
        case Source::pit: start_pit(); return runs();
    }
    return false;
}

bool PlatformTimer::start_hpet(Maddr at) {
    registers_ = ioremap_uncached(at, hpet_size);
    const u32 period = cpu::mmio_read32(registers_, hpet_period);
    if (period == 0 || period > hpet_slowest_period) {
        log::warning("Time: The HPET at {:#x} tells an impossible tick of {} fs; not using it.", at, period);
        return false;
    }
    // Its interrupts belong to nobody here.
    const u32 timers = (cpu::mmio_read32(registers_, hpet_capabilities) >> 8 & 0x1f) + 1;
    for (u32 i = 0; i < timers && hpet_first_timer + i * hpet_timer_distance < hpet_size; ++i) {
        const usize timer = hpet_first_timer + i * hpet_timer_distance;
        cpu::mmio_write32(registers_, timer, cpu::mmio_read32(registers_, timer) & ~hpet_timer_interrupt);
    }
    const u32 configuration = cpu::mmio_read32(registers_, hpet_configuration);
    cpu::mmio_write32(registers_, hpet_configuration, (configuration & ~hpet_legacy_routes) | hpet_enable);
    // The low half is enough and never torn.
    bits_ = 32;
    rate_ = {femtos_per_second, period};
    return true;
}

bool PlatformTimer::start_pm_timer(const acpi::Register& timer) {
    bits_ = timer.bits;
    rate_ = {pm_timer_hertz, 1};
    switch (timer.space) {
        case acpi::Register::Space::io:
            registers_ = nullptr;
            port_ = static_cast<u16>(timer.address);
            return true;
        case acpi::Register::Space::memory: registers_ = ioremap_uncached(Maddr(timer.address), 4); return true;
        case acpi::Register::Space::none:
        case acpi::Register::Space::pci_config: return false;
    }
    return false;
}

void PlatformTimer::start_pit() {
    cpu::out8(pit_gate, static_cast<u8>((cpu::in8(pit_gate) & ~pit_speaker) | pit_gate_on));
    cpu::out8(pit_command, pit_channel2_rate_generator);
    cpu::out8(pit_channel2, 0);  // 0 stands for 65536
    cpu::out8(pit_channel2, 0);
    bits_ = 16;
    rate_ = {pit_hertz, 1};
}

u64 PlatformTimer::read() const {
    switch (source_) {
        case Source::hpet: return cpu::mmio_read32(registers_, hpet_counter);
        case Source::acpi: {
            const u32 value = registers_ != nullptr ? cpu::mmio_read32(registers_, 0) : cpu::in32(port_);
            return value & ((u64{1} << bits_) - 1);
        }
        case Source::pit: {
            cpu::out8(pit_command, pit_latch_channel2);
            const u32 low = cpu::in8(pit_channel2);
            const u32 high = cpu::in8(pit_channel2);
            return (0U - (high << 8 | low)) & 0xffff;  // it counts down
        }
    }
    return 0;
}

// A clock that stands still, or whose register reads as nothing, must not be waited for.
bool PlatformTimer::runs() const {
    constexpr unsigned patience = 100'000;
    const u64 first = read();
    unsigned steps = 0;
    for (unsigned i = 0; i < patience; ++i) {
        if (read() != first && ++steps == 3) return true;
        cpu::relax();
    }
    return false;
}

}  // namespace xylem::time
