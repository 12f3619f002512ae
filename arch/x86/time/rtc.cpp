// SPDX-License-Identifier: MIT
#include "abi/errno.hpp"
#include "arch/x86/time/clock.hpp"
#include "arch/x86/time/rtc_decode.hpp"
#include "base/log.hpp"
#include "cpu/irqflags.hpp"
#include "cpu/port_io.hpp"

namespace xylem::time {

namespace {

constexpr u16 cmos_index = 0x70;
constexpr u16 cmos_data = 0x71;

constexpr u8 reg_seconds = 0x00;
constexpr u8 reg_minutes = 0x02;
constexpr u8 reg_hours = 0x04;
constexpr u8 reg_day = 0x07;
constexpr u8 reg_month = 0x08;
constexpr u8 reg_year = 0x09;
constexpr u8 reg_status_a = 0x0a;
constexpr u8 reg_status_b = 0x0b;
constexpr u8 status_a_updating = 1U << 7;

u8 read_cmos(u8 index) {
    cpu::out8(cmos_index, index);
    return cpu::in8(cmos_data);
}

// An update takes 2 ms at most; a clock that is not there reads as "updating" for ever.
bool wait_for_update() {
    const Nanos give_up = now() + 5'000'000;
    while ((read_cmos(reg_status_a) & status_a_updating) != 0) {
        if (now() > give_up) return false;
        cpu::relax();
    }
    return true;
}

RtcRegisters read_registers(u8 century) {
    return {read_cmos(reg_seconds),
            read_cmos(reg_minutes),
            read_cmos(reg_hours),
            read_cmos(reg_day),
            read_cmos(reg_month),
            read_cmos(reg_year),
            century != 0 ? read_cmos(century) : u8{0},
            read_cmos(reg_status_b)};
}

}  // namespace

Result<u64> read_wall_clock(const acpi::PlatformInfo& info) {
    constexpr unsigned tries = 4;
    const u8 century = info.rtc_century < 0x80 ? info.rtc_century : u8{0};  // the index register has seven bits
    if (!info.has_rtc) return fail(XEN_ENODEV);
    for (unsigned i = 0; i < tries && wait_for_update(); ++i) {
        const RtcRegisters first = read_registers(century);
        if (read_registers(century) != first) continue;  // it ticked in between
        const auto seconds = decode_rtc(first);
        if (seconds) return *seconds;
        break;
    }
    log::warning("Time: The CMOS clock holds no date; the wall clock starts at 1970.");
    return fail(XEN_ENODEV);
}

}  // namespace xylem::time
