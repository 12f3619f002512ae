// SPDX-License-Identifier: MIT
#include "arch/x86/power/power.hpp"

#include "arch/x86/mm/ioremap.hpp"
#include "arch/x86/time/clock.hpp"
#include "base/log.hpp"
#include "cpu/instructions.hpp"
#include "cpu/irqflags.hpp"
#include "cpu/mmio.hpp"
#include "cpu/port_io.hpp"

namespace xylem::power {

using acpi::PlatformInfo;
using acpi::Register;

namespace {

// [ACPI 6.5, 4.8.3.1 and 4.8.3.2]
constexpr u16 pm1_wake_status = 1U << 15;
constexpr u16 pm1_sci_enable = 1U << 0;
constexpr u16 pm1_sleep_type = 7U << 10;
constexpr unsigned pm1_sleep_type_shift = 10;
constexpr u16 pm1_sleep_enable = 1U << 13;
// [4.8.3.7] hardware-reduced machines
constexpr unsigned sleep_type_shift = 2;
constexpr u8 sleep_enable = 1U << 5;
constexpr u8 wake_status = 1U << 7;

constexpr u16 keyboard_command = 0x64;
constexpr u8 keyboard_input_full = 1U << 1;
constexpr u8 keyboard_pulse_reset = 0xfe;

constexpr u16 reset_control = 0xcf9;
constexpr u8 reset_cpu_hard = 1U << 1;
constexpr u8 reset_now = 1U << 2;
constexpr u8 reset_power_cycle = 1U << 3;

constexpr u16 pci_address = 0xcf8;
constexpr u16 pci_data = 0xcfc;

constexpr Nanos millisecond = 1'000'000;

// Registers in memory, mapped by prepare() because a machine that is going down maps nothing.
struct Mapped {
    volatile void* pm1a_event = nullptr;
    volatile void* pm1b_event = nullptr;
    volatile void* pm1a_control = nullptr;
    volatile void* pm1b_control = nullptr;
    volatile void* sleep_control = nullptr;
    volatile void* sleep_status = nullptr;
    volatile void* reset = nullptr;
};
constinit Mapped mapped;

u16 read16(const Register& reg, volatile void* memory) {
    if (reg.space == Register::Space::io) return cpu::in16(static_cast<u16>(reg.address));
    return memory != nullptr ? *static_cast<volatile u16*>(memory) : u16{0};
}

void write16(const Register& reg, volatile void* memory, u16 value) {
    if (reg.space == Register::Space::io)
        cpu::out16(static_cast<u16>(reg.address), value);
    else if (memory != nullptr)
        *static_cast<volatile u16*>(memory) = value;
}

void write8(const Register& reg, volatile void* memory, u8 value) {
    switch (reg.space) {
        case Register::Space::io: cpu::out8(static_cast<u16>(reg.address), value); break;
        case Register::Space::memory:
            if (memory != nullptr) *static_cast<volatile u8*>(memory) = value;
            break;
        // [ACPI 6.5, table 5.1] device, function and offset on bus 0.
        case Register::Space::pci_config: {
            const u32 device = static_cast<u32>(reg.address >> 32 & 0x1f);
            const u32 function = static_cast<u32>(reg.address >> 16 & 7);
            const u32 offset = static_cast<u32>(reg.address & 0xff);
            cpu::out32(pci_address, u32{1} << 31 | device << 11 | function << 8 | (offset & ~3U));
            cpu::out8(static_cast<u16>(pci_data + (offset & 3)), value);
            break;
        }
        case Register::Space::none: break;
    }
}

volatile void* map(const Register& reg) {
    return reg.space == Register::Space::memory ? ioremap_uncached(Maddr(reg.address), sizeof(u64)) : nullptr;
}

void pulse_keyboard_controller() {
    constexpr unsigned pulses = 10;
    for (unsigned i = 0; i < pulses; ++i) {
        for (unsigned patience = 0; patience < 10'000 && (cpu::in8(keyboard_command) & keyboard_input_full) != 0; ++patience)
            cpu::relax();
        cpu::out8(keyboard_command, keyboard_pulse_reset);
        time::wait(millisecond);
    }
}

void pulse_reset_control() {
    const u8 others = static_cast<u8>(cpu::in8(reset_control) & ~(reset_cpu_hard | reset_now | reset_power_cycle));
    cpu::out8(reset_control, others | reset_cpu_hard);
    time::wait(millisecond / 20);
    cpu::out8(reset_control, others | reset_cpu_hard | reset_now);
    time::wait(50 * millisecond);
}

}  // namespace

void prepare(const PlatformInfo& info) {
    mapped = {map(info.pm1a_event),    map(info.pm1b_event),   map(info.pm1a_control), map(info.pm1b_control),
              map(info.sleep_control), map(info.sleep_status), map(info.reset)};
}

void enter_sleep(const PlatformInfo& info, u16 pm1a_control, u16 pm1b_control) {
    // A wake event left over would end the sleep at once.
    if (info.pm1a_event.exists()) write16(info.pm1a_event, mapped.pm1a_event, pm1_wake_status);
    if (info.pm1b_event.exists()) write16(info.pm1b_event, mapped.pm1b_event, pm1_wake_status);
    // Types first, enable second: chipsets latch the type before they act on it [ACPI 6.5, 16.1.6].
    const u16 a = static_cast<u16>(pm1a_control & ~pm1_sleep_enable);
    const u16 b = static_cast<u16>(pm1b_control & ~pm1_sleep_enable);
    write16(info.pm1a_control, mapped.pm1a_control, a);
    if (info.pm1b_control.exists()) write16(info.pm1b_control, mapped.pm1b_control, b);
    cpu::wbinvd();
    write16(info.pm1a_control, mapped.pm1a_control, a | pm1_sleep_enable);
    if (info.pm1b_control.exists()) write16(info.pm1b_control, mapped.pm1b_control, b | pm1_sleep_enable);
    time::wait(1000 * millisecond);
    log::error("Power: The machine did not go to sleep (PM1 control {:#x}).", a | pm1_sleep_enable);
}

void power_off(const PlatformInfo& info) {
    if (!info.s5.known) {
        log::error("Power: The firmware tells no way to power off (no \\_S5_).");
        return;
    }
    if (info.hardware_reduced) {
        write8(info.sleep_status, mapped.sleep_status, wake_status);
        write8(info.sleep_control, mapped.sleep_control, static_cast<u8>(info.s5.a << sleep_type_shift) | sleep_enable);
        time::wait(1000 * millisecond);
        log::error("Power: The machine did not power off.");
        return;
    }
    if (!info.pm1a_control.exists()) {
        log::error("Power: The firmware tells no way to power off (no PM1a control register).");
        return;
    }
    // SCI_EN has to stay: a chipset taken from ACPI mode ignores the sleep type.
    const auto with_type = [](u16 old, u8 type) {
        return static_cast<u16>((old & ~pm1_sleep_type) | pm1_sci_enable | static_cast<unsigned>(type) << pm1_sleep_type_shift);
    };
    const u16 a = with_type(read16(info.pm1a_control, mapped.pm1a_control), info.s5.a);
    const u16 b = info.pm1b_control.exists() ? with_type(read16(info.pm1b_control, mapped.pm1b_control), info.s5.b) : u16{0};
    enter_sleep(info, a, b);
}

void reboot(const PlatformInfo& info, RebootMethod method) {
    cpu::irq_disable();
    switch (method) {
        case RebootMethod::acpi:
            if (info.reset.exists()) {
                write8(info.reset, mapped.reset, info.reset_value);
                time::wait(50 * millisecond);
            }
            [[fallthrough]];
        case RebootMethod::keyboard: pulse_keyboard_controller(); [[fallthrough]];
        case RebootMethod::pci: pulse_reset_control(); [[fallthrough]];
        case RebootMethod::triple_fault: break;
    }
    const cpu::TablePointer nothing{0, 0};
    cpu::lidt(nothing);
    for (;;) __builtin_debugtrap();  // int3 without an IDT: triple fault
}

}  // namespace xylem::power
