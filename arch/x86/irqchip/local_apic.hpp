// SPDX-License-Identifier: MIT
// The local APIC: interrupts' last hop, signals between CPUs, and a timer. One object describes all CPUs' APICs, because they
// are set up alike and each CPU reaches its own at the same place.
#pragma once

#include <atomic>
#include <span>

#include "base/types.hpp"
#include "cpu/instructions.hpp"
#include "cpu/mmio.hpp"
#include "drivers/acpi/platform_info.hpp"
#include "hw/x86/apic.hpp"

namespace xylem::irqchip {

class LocalApic {
   public:
    struct Options {
        bool want_x2apic = false;  // option x2apic; without it only where ids need it or firmware chose it
    };

    constexpr LocalApic() = default;
    LocalApic(const LocalApic&) = delete;
    LocalApic& operator=(const LocalApic&) = delete;

    // Boot CPU, once, before anything else of this class: decides between xAPIC and x2APIC, maps the registers, and switches this
    // CPU over, so that id() can be asked.
    // Panics without a local APIC.
    void choose_mode(const acpi::PlatformInfo& info, Options options);

    // Every CPU, once, interrupts off: all inputs masked except the NMI ones the firmware lists (the boot CPU's for what is
    // wired to all), spurious and error vectors set, every interrupt accepted. Stale interrupts are acknowledged.
    void enable_this_cpu(const acpi::PlatformInfo& info);

    bool is_x2apic() const { return x2apic_; }
    bool has_deadline_timer() const { return deadline_timer_; }
    Maddr address() const { return address_; }

    // This CPU's id.
    u32 id() const {
        const u32 raw = read(hw::apic::Register::id);
        return x2apic_ ? raw : raw >> 24;
    }

    // End of the interrupt in service on this CPU.
    void eoi() { write(hw::apic::Register::eoi, 0); }

    // Signals to one CPU by its local APIC id; callable with interrupts on or off. They return once the APIC took the command.
    void send(u32 apic_id, u8 vector) { command(apic_id, vector); }
    void send_nmi(u32 apic_id) { command(apic_id, hw::apic::delivery_bits(hw::apic::Delivery::nmi)); }
    // The start of another CPU: INIT, 10 ms, STARTUP, 200 us, STARTUP [SDM 3, 9.4.4]; `page` is the real-mode start >> 12.
    void send_init(u32 apic_id);
    void send_startup(u32 apic_id, u8 page);
    // To all other CPUs, even those this hypervisor never started: only for the last words of panic and reboot.
    void send_nmi_to_others() { command(0, hw::apic::delivery_bits(hw::apic::Delivery::nmi) | hw::apic::command_all_but_self); }

    // --- timer, this CPU's, one-shot on timer_vector -------------------------------------------------------------------------
    // With has_deadline_timer(): fires when the TSC reaches `tsc` (at once if it has).
    void arm_deadline(u64 tsc) { cpu::wrmsr(hw::apic::msr_tsc_deadline, tsc); }
    // Without: fires after `ticks` > 0 of the APIC's clock, timer_divider applied.
    void arm_ticks(u32 ticks) { write(hw::apic::Register::timer_initial, ticks); }
    u32 ticks_left() const { return read(hw::apic::Register::timer_current); }
    void stop_timer() {
        if (deadline_timer_)
            cpu::wrmsr(hw::apic::msr_tsc_deadline, 0);
        else
            write(hw::apic::Register::timer_initial, 0);
    }
    // For calibration: counts down from all ones without an interrupt; then back to one-shot on timer_vector.
    void start_counting();
    void stop_counting();

    // Reads and clears this CPU's error bits; from the handler of error_vector.
    u32 take_errors();

   private:
    using Reg = hw::apic::Register;

    static constexpr u32 msr_of(Reg r) { return hw::apic::msr_x2apic_base + (static_cast<u32>(r) >> 4); }
    u32 read(Reg r) const {
        if (x2apic_) return static_cast<u32>(cpu::rdmsr(msr_of(r)));
        return cpu::mmio_read32(registers_, static_cast<usize>(r));
    }
    void write(Reg r, u32 value) {
        if (x2apic_)
            cpu::wrmsr(msr_of(r), value);
        else
            cpu::mmio_write32(registers_, static_cast<usize>(r), value);
    }
    u32 bit_register(Reg first, unsigned index) const {
        return read(Reg{static_cast<u16>(static_cast<u16>(first) + index * 0x10)});
    }
    void command(u32 apic_id, u32 low);
    void switch_mode() const;
    void set_up_inputs(const acpi::PlatformInfo& info);
    void acknowledge_stale();
    u32 timer_lvt() const;

    volatile void* registers_ = nullptr;
    Maddr address_{0xfee0'0000};
    bool x2apic_ = false;
    bool deadline_timer_ = false;
};

// Written by choose_mode only.
inline constinit LocalApic local_apic;

}  // namespace xylem::irqchip
