// SPDX-License-Identifier: MIT
// The I/O APICs: which vector on which CPU a device's interrupt line (GSI) becomes.
#pragma once

#include <array>
#include <span>

#include "base/result.hpp"
#include "base/sync/spinlock.hpp"
#include "base/types.hpp"
#include "drivers/acpi/platform_info.hpp"
#include "hw/x86/apic.hpp"

namespace xylem::irqchip {

// All I/O APICs of the machine. Level interrupts: the handler masks the GSI, ends the interrupt at the local APIC, and unmasks
// when the guest is done; the pin's remote IRR clears with the local APIC's EOI, so nothing is lost or repeated.
class IoApics {
   public:
    static constexpr unsigned max_pins = 512;

    constexpr IoApics() = default;
    IoApics(const IoApics&) = delete;
    IoApics& operator=(const IoApics&) = delete;

    // Boot CPU, once: maps the chips and masks all pins. Chips that do not answer or overlap are reported and left out.
    void init(const acpi::PlatformInfo& info);

    // One more than the highest GSI.
    u32 gsi_end() const { return gsi_end_; }
    bool has(Gsi gsi) const { return find(gsi) != nullptr; }

    // Sends `gsi` as `vector` to the CPU with this local APIC id. XEN_EINVAL: no such GSI, or an id above 255, which a pin cannot
    // name. Any CPU, any context.
    Result<> route(Gsi gsi, u8 vector, u32 apic_id, InterruptMode mode, bool masked);

    // A GSI that does not exist is left alone. Any CPU, any context.
    void mask(Gsi gsi) { set_masked(gsi, true); }
    void unmask(Gsi gsi) { set_masked(gsi, false); }

    // What PHYSDEVOP_apic_read answers: register `reg` of the chip at machine address `base`. XEN_EINVAL: no such chip or
    // register.
    Result<u32> read_register(u64 base, u32 reg);

    void mask_all();

    struct Chip {
        volatile void* window = nullptr;
        Maddr address;
        u32 gsi_base = 0;
        u32 pins = 0;
        u32 first_shadow = 0;
    };
    std::span<const Chip> chips() const { return {chips_.data(), count_}; }

   private:
    const Chip* find(Gsi gsi) const;
    void add(const acpi::IoApic& description);
    void set_masked(Gsi gsi, bool masked);
    static u32 read(const Chip& chip, u8 reg);
    static void write(const Chip& chip, u8 reg, u32 value);
    static constexpr u8 low_register(u32 pin) { return static_cast<u8>(hw::io_apic::reg_redirection + pin * 2); }
    hw::io_apic::Entry& shadow(const Chip& chip, u32 pin) XYLEM_REQUIRES(lock_) { return shadows_[chip.first_shadow + pin]; }

    mutable Spinlock lock_;  // the index register and the shadows
    std::array<Chip, acpi::max_io_apics> chips_{};
    usize count_ = 0;
    u32 gsi_end_ = 0;
    u32 pins_used_ = 0;
    std::array<hw::io_apic::Entry, max_pins> shadows_ XYLEM_GUARDED_BY(lock_){};  // what the pins were told, to save reading
};

inline constinit IoApics io_apics;

}  // namespace xylem::irqchip
