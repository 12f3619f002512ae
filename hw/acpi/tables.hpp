// SPDX-License-Identifier: MIT
// Layouts of the ACPI tables that a hypervisor reads [ACPI 6.5 chapter 5; HPET 1.0a; PCI Firmware 3.3, 4.1.2 for MCFG].
// Tables are unaligned and may be shorter than these structures (older revisions): copy, then look.
#pragma once

#include "base/types.hpp"

namespace xylem::acpi {

// Four letters as the little-endian number that a table starts with.
constexpr u32 signature(const char (&letters)[5]) {
    u32 number = 0;
    for (unsigned i = 0; i < 4; ++i) number |= u32{static_cast<u8>(letters[i])} << (8 * i);
    return number;
}

inline constexpr u32 sig_rsdt = signature("RSDT");
inline constexpr u32 sig_xsdt = signature("XSDT");
inline constexpr u32 sig_fadt = signature("FACP");
inline constexpr u32 sig_facs = signature("FACS");
inline constexpr u32 sig_dsdt = signature("DSDT");
inline constexpr u32 sig_ssdt = signature("SSDT");
inline constexpr u32 sig_madt = signature("APIC");
inline constexpr u32 sig_hpet = signature("HPET");
inline constexpr u32 sig_mcfg = signature("MCFG");
inline constexpr u32 sig_srat = signature("SRAT");
inline constexpr u32 sig_slit = signature("SLIT");
inline constexpr u32 sig_spcr = signature("SPCR");
inline constexpr u32 sig_dmar = signature("DMAR");
inline constexpr u32 sig_ivrs = signature("IVRS");

inline constexpr char rsdp_signature[9] = "RSD PTR ";

struct [[gnu::packed]] Rsdp {
    char signature[8];
    u8 checksum;  // over the first 20 bytes
    char oem[6];
    u8 revision;  // 0: ends before `length`
    u32 rsdt;
    u32 length;
    u64 xsdt;
    u8 extended_checksum;  // over `length` bytes
    u8 reserved[3];
};
inline constexpr usize rsdp_v1_size = 20;
static_assert(sizeof(Rsdp) == 36 && offsetof(Rsdp, length) == rsdp_v1_size);

struct [[gnu::packed]] Header {
    u32 signature;
    u32 length;  // this header included
    u8 revision;
    u8 checksum;  // makes the sum of all bytes zero
    char oem[6];
    char oem_table[8];
    u32 oem_revision;
    u32 creator;
    u32 creator_revision;
};
static_assert(sizeof(Header) == 36);

// "Generic address structure": a register in some address space.
struct [[gnu::packed]] GenericAddress {
    u8 space;  // AddressSpace
    u8 bit_width;
    u8 bit_offset;
    u8 access_size;  // 0 undefined, 1 byte, 2 word, 3 dword, 4 qword
    u64 address;
};
static_assert(sizeof(GenericAddress) == 12);

enum class AddressSpace : u8 { memory = 0, io = 1, pci_config = 2 };

struct [[gnu::packed]] Fadt {
    Header header;
    u32 facs;
    u32 dsdt;
    u8 reserved0;
    u8 preferred_profile;
    u16 sci_interrupt;
    u32 smi_command;
    u8 acpi_enable;
    u8 acpi_disable;
    u8 s4bios_request;
    u8 pstate_control;
    u32 pm1a_event;
    u32 pm1b_event;
    u32 pm1a_control;
    u32 pm1b_control;
    u32 pm2_control;
    u32 pm_timer;
    u32 gpe0;
    u32 gpe1;
    u8 pm1_event_length;
    u8 pm1_control_length;
    u8 pm2_control_length;
    u8 pm_timer_length;
    u8 gpe0_length;
    u8 gpe1_length;
    u8 gpe1_base;
    u8 cst_control;
    u16 c2_latency;
    u16 c3_latency;
    u16 flush_size;
    u16 flush_stride;
    u8 duty_offset;
    u8 duty_width;
    u8 day_alarm;
    u8 month_alarm;
    u8 century;  // index of the century in the CMOS RTC, 0 = none
    u16 boot_architecture;
    u8 reserved1;
    u32 flags;
    GenericAddress reset_register;
    u8 reset_value;
    u16 arm_boot_architecture;
    u8 minor_revision;
    u64 x_facs;
    u64 x_dsdt;
    GenericAddress x_pm1a_event;
    GenericAddress x_pm1b_event;
    GenericAddress x_pm1a_control;
    GenericAddress x_pm1b_control;
    GenericAddress x_pm2_control;
    GenericAddress x_pm_timer;
    GenericAddress x_gpe0;
    GenericAddress x_gpe1;
    GenericAddress sleep_control;
    GenericAddress sleep_status;
    u64 hypervisor_vendor;
};
static_assert(offsetof(Fadt, sci_interrupt) == 46 && offsetof(Fadt, pm_timer) == 76 && offsetof(Fadt, century) == 108);
static_assert(offsetof(Fadt, flags) == 112 && offsetof(Fadt, reset_register) == 116 && offsetof(Fadt, x_facs) == 132);
static_assert(offsetof(Fadt, x_pm_timer) == 208 && offsetof(Fadt, sleep_control) == 244 && sizeof(Fadt) == 276);

inline constexpr usize fadt_v1_size = 116;

inline constexpr u32 fadt_timer_is_32_bit = u32{1} << 8;
inline constexpr u32 fadt_reset_supported = u32{1} << 10;
inline constexpr u32 fadt_hardware_reduced = u32{1} << 20;

inline constexpr u16 boot_has_8042 = u16{1} << 1;
inline constexpr u16 boot_no_cmos_rtc = u16{1} << 5;

// The FACS has no checksum.
struct [[gnu::packed]] Facs {
    u32 signature;
    u32 length;
    u32 hardware_signature;
    u32 waking_vector;
    u32 global_lock;
    u32 flags;
    u64 x_waking_vector;
    u8 version;
    u8 reserved[31];
};
static_assert(sizeof(Facs) == 64);

struct [[gnu::packed]] Madt {
    Header header;
    u32 local_apic;
    u32 flags;  // bit 0: there are 8259s
};
static_assert(sizeof(Madt) == 44);

inline constexpr u32 madt_has_8259 = 1;

enum class MadtType : u8 {
    local_apic = 0,
    io_apic = 1,
    interrupt_override = 2,
    nmi_source = 3,
    local_apic_nmi = 4,
    local_apic_address = 5,
    local_x2apic = 9,
    local_x2apic_nmi = 10,
};

struct [[gnu::packed]] MadtEntry {
    u8 type;
    u8 length;
};

inline constexpr u32 madt_cpu_enabled = 1;
inline constexpr u32 madt_cpu_online_capable = 2;

struct [[gnu::packed]] MadtLocalApic {
    MadtEntry entry;
    u8 acpi_id;
    u8 apic_id;
    u32 flags;
};
static_assert(sizeof(MadtLocalApic) == 8);

struct [[gnu::packed]] MadtIoApic {
    MadtEntry entry;
    u8 id;
    u8 reserved;
    u32 address;
    u32 gsi_base;
};
static_assert(sizeof(MadtIoApic) == 12);

struct [[gnu::packed]] MadtOverride {
    MadtEntry entry;
    u8 bus;  // 0 = ISA
    u8 source;
    u32 gsi;
    u16 flags;
};
static_assert(sizeof(MadtOverride) == 10);

struct [[gnu::packed]] MadtNmiSource {
    MadtEntry entry;
    u16 flags;
    u32 gsi;
};
static_assert(sizeof(MadtNmiSource) == 8);

struct [[gnu::packed]] MadtLocalApicNmi {
    MadtEntry entry;
    u8 acpi_id;  // 0xff: all CPUs
    u16 flags;
    u8 lint;
};
static_assert(sizeof(MadtLocalApicNmi) == 6);

struct [[gnu::packed]] MadtLocalApicAddress {
    MadtEntry entry;
    u16 reserved;
    u64 address;
};
static_assert(sizeof(MadtLocalApicAddress) == 12);

struct [[gnu::packed]] MadtLocalX2apic {
    MadtEntry entry;
    u16 reserved;
    u32 apic_id;
    u32 flags;
    u32 acpi_id;
};
static_assert(sizeof(MadtLocalX2apic) == 16);

struct [[gnu::packed]] MadtLocalX2apicNmi {
    MadtEntry entry;
    u16 flags;
    u32 acpi_id;  // all ones: all CPUs
    u8 lint;
    u8 reserved[3];
};
static_assert(sizeof(MadtLocalX2apicNmi) == 12);

struct [[gnu::packed]] Hpet {
    Header header;
    u32 block_id;
    GenericAddress address;
    u8 number;
    u16 minimum_tick;
    u8 protection;
};
static_assert(sizeof(Hpet) == 56);

struct [[gnu::packed]] Mcfg {
    Header header;
    u64 reserved;
};
static_assert(sizeof(Mcfg) == 44);

struct [[gnu::packed]] McfgEntry {
    u64 address;  // of bus 0, even where first_bus is not 0
    u16 segment;
    u8 first_bus;
    u8 last_bus;
    u32 reserved;
};
static_assert(sizeof(McfgEntry) == 16);

}  // namespace xylem::acpi
