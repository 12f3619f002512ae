// SPDX-License-Identifier: MIT
// Local APIC and I/O APIC registers [Intel SDM volume 3, chapter 11; 82093AA datasheet; AMD APM volume 2, chapter 16].
#pragma once

#include "base/types.hpp"
#include "hw/acpi/interrupt_mode.hpp"

namespace xylem::hw::apic {

// Register offsets in the xAPIC page; the x2APIC register of offset `o` is MSR msr_x2apic_base + o / 16.
enum class Register : u16 {
    id = 0x020,
    version = 0x030,
    task_priority = 0x080,
    eoi = 0x0b0,
    logical_destination = 0x0d0,  // xAPIC only writable
    destination_format = 0x0e0,   // xAPIC only
    spurious = 0x0f0,
    in_service = 0x100,
    trigger_mode = 0x180,
    request = 0x200,
    error_status = 0x280,
    lvt_machine_check = 0x2f0,
    command_low = 0x300,  // x2APIC: the whole 64-bit command
    command_high = 0x310,
    lvt_timer = 0x320,
    lvt_thermal = 0x330,
    lvt_performance = 0x340,
    lvt_lint0 = 0x350,
    lvt_lint1 = 0x360,
    lvt_error = 0x370,
    timer_initial = 0x380,
    timer_current = 0x390,
    timer_divide = 0x3e0,
};

inline constexpr u32 msr_apic_base = 0x1b;
inline constexpr u32 msr_x2apic_base = 0x800;
inline constexpr u32 msr_tsc_deadline = 0x6e0;

inline constexpr u64 base_is_boot_cpu = u64{1} << 8;
inline constexpr u64 base_x2apic = u64{1} << 10;
inline constexpr u64 base_enabled = u64{1} << 11;
inline constexpr u64 base_address_mask = 0x000f'ffff'ffff'f000;

inline constexpr u32 spurious_enable = 1U << 8;

enum class Delivery : u32 { fixed = 0, lowest = 1, smi = 2, nmi = 4, init = 5, startup = 6, external = 7 };

constexpr u32 delivery_bits(Delivery d) {
    return static_cast<u32>(d) << 8;
}

inline constexpr u32 command_pending = 1U << 12;  // xAPIC only
inline constexpr u32 command_assert = 1U << 14;
inline constexpr u32 command_level = 1U << 15;
inline constexpr u32 command_all_but_self = 3U << 18;

inline constexpr u32 lvt_low_active = 1U << 13;
inline constexpr u32 lvt_level = 1U << 15;
inline constexpr u32 lvt_masked = 1U << 16;
inline constexpr u32 lvt_timer_deadline = 2U << 17;
inline constexpr u32 timer_divide_by_1 = 0xb;
inline constexpr u32 timer_divide_by_16 = 0x3;

// Version register.
constexpr unsigned highest_lvt(u32 version) {
    return version >> 16 & 0xff;
}

}  // namespace xylem::hw::apic

namespace xylem::hw::io_apic {

inline constexpr usize window_size = 0x20;
inline constexpr usize index_offset = 0x00;
inline constexpr usize data_offset = 0x10;

inline constexpr u8 reg_id = 0;
inline constexpr u8 reg_version = 1;
inline constexpr u8 reg_redirection = 0x10;  // two registers per pin

constexpr unsigned pins_of(u32 version) {
    return (version >> 16 & 0xff) + 1;
}

inline constexpr u32 entry_low_active = 1U << 13;
inline constexpr u32 entry_level = 1U << 15;
inline constexpr u32 entry_masked = 1U << 16;

// A redirection table entry: fixed delivery, physical destination.
struct Entry {
    u32 low = entry_masked;
    u32 high = 0;
    constexpr bool operator==(const Entry&) const = default;
};

// An 8-bit destination; larger ids need interrupt remapping.
constexpr Entry compose_entry(u8 vector, u32 apic_id, InterruptMode mode, bool masked) {
    Entry entry;
    entry.low = vector | (mode.polarity == Polarity::low ? entry_low_active : 0) |
                (mode.trigger == Trigger::level ? entry_level : 0) | (masked ? entry_masked : 0);
    entry.high = apic_id << 24;
    return entry;
}

}  // namespace xylem::hw::io_apic
