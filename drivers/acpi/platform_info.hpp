// SPDX-License-Identifier: MIT
// What the machine's ACPI tables say, as plain numbers. Filled once at boot (platform.hpp), read-only afterwards.
#pragma once

#include <array>
#include <span>

#include "base/types.hpp"
#include "hw/acpi/interrupt_mode.hpp"

namespace xylem::acpi {

// At most N items; push() says no instead of overflowing.
template <class T, usize N>
class FixedList {
   public:
    constexpr bool push(const T& item) {
        if (size_ == N) return false;
        items_[size_++] = item;
        return true;
    }
    constexpr usize size() const { return size_; }
    constexpr bool empty() const { return size_ == 0; }
    constexpr const T& operator[](usize i) const { return items_[i]; }
    constexpr T& operator[](usize i) { return items_[i]; }
    constexpr const T* begin() const { return items_.data(); }
    constexpr const T* end() const { return items_.data() + size_; }
    constexpr T* begin() { return items_.data(); }
    constexpr T* end() { return items_.data() + size_; }

   private:
    std::array<T, N> items_{};
    usize size_ = 0;
};

inline constexpr usize max_cpus = 256;
inline constexpr usize max_io_apics = 16;
inline constexpr usize max_overrides = 32;
inline constexpr usize max_nmis = 32;
inline constexpr usize max_ecam_ranges = 32;

inline constexpr u32 all_cpus = ~u32{0};

struct Cpu {
    u32 apic_id = 0;
    u32 acpi_id = 0;
    bool enabled = false;  // usable now; otherwise at most hot-pluggable
    bool online_capable = false;
};

struct IoApic {
    u8 id = 0;
    Maddr address;
    Gsi gsi_base;
};

// ISA interrupt `isa_irq` arrives as `gsi`. ISA interrupts without an override arrive as the GSI of the same number, isa_mode.
struct Override {
    u8 isa_irq = 0;
    Gsi gsi;
    InterruptMode mode;
};

// A local APIC's input that carries NMIs.
struct LocalNmi {
    u32 acpi_id = all_cpus;
    u8 lint = 1;
    InterruptMode mode;
};

// Memory-mapped PCI configuration space.
struct EcamRange {
    Maddr address;  // of bus 0, even where first_bus is not 0
    u16 segment = 0;
    u8 first_bus = 0;
    u8 last_bus = 0;
};

// A register of the chipset.
struct Register {
    enum class Space : u8 { none, io, memory, pci_config };
    Space space = Space::none;
    u8 bits = 0;
    u64 address = 0;  // port, machine address, or device << 32 | function << 16 | offset (on bus 0)

    constexpr bool exists() const { return space != Space::none; }
    constexpr bool operator==(const Register&) const = default;
};

struct SleepTypes {
    bool known = false;
    u8 a = 0;
    u8 b = 0;
};

struct PlatformInfo {
    Maddr rsdp;  // where it was found
    u8 acpi_revision = 0;

    FixedList<Cpu, max_cpus> cpus;  // empty without a MADT: only the boot CPU is known
    FixedList<IoApic, max_io_apics> io_apics;
    FixedList<Override, max_overrides> overrides;
    FixedList<LocalNmi, max_nmis> local_nmis;
    Maddr local_apic{0xfee0'0000};
    bool has_8259 = true;

    bool has_fadt = false;
    bool hardware_reduced = false;  // no PM1 registers: sleep_control instead
    u16 sci_irq = 9;                // as an ISA interrupt where there are 8259s; gsi_of_isa() it
    Maddr facs;                     // 0: none
    Register pm1a_event;
    Register pm1b_event;
    Register pm1a_control;
    Register pm1b_control;
    Register sleep_control;
    Register sleep_status;
    Register pm_timer;  // bits = 24 or 32
    Register reset;
    u8 reset_value = 0;
    u32 smi_command_port = 0;  // writing acpi_enable here takes the chipset from firmware; 0: always in ACPI mode
    u8 acpi_enable = 0;
    u8 rtc_century = 0;  // CMOS index, 0 = none
    bool has_rtc = true;
    SleepTypes s5;

    Maddr hpet;  // 0: none
    FixedList<EcamRange, max_ecam_ranges> ecam;
    Maddr dmar;  // 0: none
    Maddr ivrs;  // 0: none

    // Where ISA interrupt `irq` (0..15) arrives, and how it signals.
    constexpr Override gsi_of_isa(u8 irq) const {
        for (const Override& o : overrides)
            if (o.isa_irq == irq) return o;
        return {irq, Gsi(irq), isa_mode};
    }

    // Where the system control interrupt arrives: level, low unless the MADT says otherwise [ACPI 6.5, 5.2.9 SCI_INT].
    constexpr Override sci() const {
        for (const Override& o : overrides)
            if (o.isa_irq == sci_irq) return o;
        return {static_cast<u8>(sci_irq), Gsi(sci_irq), pci_mode};
    }
};

}  // namespace xylem::acpi
