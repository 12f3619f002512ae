// SPDX-License-Identifier: MIT
#include "drivers/acpi/platform.hpp"

#include <gtest/gtest.h>

#include "drivers/acpi/sleep_package.hpp"
#include "tests/unit/drivers/acpi/fake_firmware.hpp"

namespace xylem::acpi {
namespace {

using namespace test;
using Space = Register::Space;

constexpr u64 madt_at = 0x1'0000;
constexpr u64 fadt_at = 0x2'0000;
constexpr u64 dsdt_at = 0x3'0000;
constexpr u64 facs_at = 0x4'0000;
constexpr u64 hpet_at = 0x5'0000;
constexpr u64 mcfg_at = 0x6'0000;
constexpr u64 ssdt_at = 0x7'0000;

const Bytes s5_name = {0x08, '_', 'S', '5', '_', 0x12, 0x07, 0x04, 0x0a, 0x05, 0x01, 0x00, 0x00};

struct MadtBody {
    Bytes bytes;
    MadtBody() {
        append(bytes, u32{0xfee0'0000});
        append(bytes, u32{madt_has_8259});
    }
    template <class T>
    MadtBody& add(T entry, MadtType type, u8 length = sizeof(T)) {
        entry.entry.type = static_cast<u8>(type);
        entry.entry.length = length;
        append(bytes, entry);
        return *this;
    }
    MadtBody& cpu(u8 acpi_id, u8 apic_id, u32 flags = madt_cpu_enabled) {
        return add(MadtLocalApic{{}, acpi_id, apic_id, flags}, MadtType::local_apic);
    }
    MadtBody& io_apic(u8 id, u32 address, u32 gsi) { return add(MadtIoApic{{}, id, 0, address, gsi}, MadtType::io_apic); }
    MadtBody& isa(u8 irq, u32 gsi, u16 flags) { return add(MadtOverride{{}, 0, irq, gsi, flags}, MadtType::interrupt_override); }
};

Fadt pc_fadt() {
    Fadt fadt{};
    fadt.facs = facs_at;
    fadt.dsdt = dsdt_at;
    fadt.sci_interrupt = 9;
    fadt.smi_command = 0xb2;
    fadt.acpi_enable = 2;
    fadt.pm1a_event = 0x600;
    fadt.pm1a_control = 0x604;
    fadt.pm_timer = 0x608;
    fadt.pm1_event_length = 4;
    fadt.pm1_control_length = 2;
    fadt.century = 0x32;
    fadt.flags = fadt_reset_supported;
    fadt.reset_register = {1, 8, 0, 1, 0xcf9};
    fadt.reset_value = 0x0f;
    return fadt;
}

class AcpiPlatform : public ::testing::Test {
   protected:
    AcpiPlatform() {
        Bytes bios(0x2'0000);
        const Bytes rsdp = rsdp_bytes(0, 0x9000, 2);
        std::copy(rsdp.begin(), rsdp.end(), bios.begin());
        memory.put(0xe'0000, bios);
        memory.put(0x9000, xsdt({madt_at, fadt_at, hpet_at, mcfg_at, ssdt_at}));
        MadtBody madt;
        madt.cpu(0, 0)
            .cpu(1, 1)
            .cpu(2, 2, 0)
            .cpu(3, 3, madt_cpu_online_capable)
            .io_apic(2, 0xfec0'0000, 0)
            .isa(0, 2, 0)
            .isa(9, 9, 0xd);
        put_madt(madt);
        put_fadt(pc_fadt(), 3);
        memory.put(dsdt_at, table(sig_dsdt, s5_name));
        Bytes facs;
        append(facs, Facs{sig_facs, sizeof(Facs), 0, 0, 0, 0, 0, 1, {}});
        memory.put(facs_at, facs);
        Hpet hpet{};
        hpet.address = {0, 64, 0, 0, 0xfed0'0000};
        memory.put(hpet_at, table_of(sig_hpet, hpet, 1));
        put_mcfg({{0xb000'0000, 0, 0, 255, 0}});
    }

    void put_madt(const MadtBody& madt) { memory.put(madt_at, table(sig_madt, madt.bytes)); }
    void put_fadt(const Fadt& fadt, u8 revision, usize size = sizeof(Fadt)) {
        memory.put(fadt_at, table_of(sig_fadt, fadt, revision, size));
    }
    void put_mcfg(const std::vector<McfgEntry>& entries) {
        Bytes body(8);
        for (const McfgEntry& entry : entries) append(body, entry);
        memory.put(mcfg_at, table(sig_mcfg, body));
    }
    PlatformInfo read() {
        PlatformInfo info;
        const auto tables = Tables::find(memory);
        EXPECT_TRUE(tables);
        if (tables) read_platform(*tables, info);
        return info;
    }

    FakeMemory memory;
};

TEST_F(AcpiPlatform, OrdinaryPc) {
    const PlatformInfo info = read();
    EXPECT_EQ(info.rsdp, Maddr(0xe'0000));
    ASSERT_EQ(info.cpus.size(), 3u) << "two present, one to plug in; CPU 2 is an unused slot";
    EXPECT_TRUE(info.cpus[1].enabled);
    EXPECT_FALSE(info.cpus[2].enabled);
    EXPECT_EQ(info.cpus[2].acpi_id, 3u);
    ASSERT_EQ(info.io_apics.size(), 1u);
    EXPECT_EQ(info.io_apics[0].address, Maddr(0xfec0'0000));
    EXPECT_EQ(info.gsi_of_isa(0).gsi, Gsi(2));
    EXPECT_EQ(info.gsi_of_isa(0).mode, isa_mode);
    EXPECT_EQ(info.gsi_of_isa(4).gsi, Gsi(4));
    EXPECT_EQ(info.sci().mode, (InterruptMode{Trigger::level, Polarity::high}));
    EXPECT_EQ(info.pm1a_control, (Register{Space::io, 16, 0x604}));
    EXPECT_FALSE(info.pm1b_control.exists());
    EXPECT_EQ(info.pm_timer, (Register{Space::io, 24, 0x608}));
    EXPECT_EQ(info.reset, (Register{Space::io, 8, 0xcf9}));
    EXPECT_EQ(info.reset_value, 0x0f);
    EXPECT_EQ(info.facs, Maddr(facs_at));
    EXPECT_TRUE(info.s5.known);
    EXPECT_EQ(info.s5.a, 5);
    EXPECT_EQ(info.s5.b, 1);
    EXPECT_EQ(info.hpet, Maddr(0xfed0'0000));
    ASSERT_EQ(info.ecam.size(), 1u);
    EXPECT_EQ(info.ecam[0].last_bus, 255);
    EXPECT_EQ(info.rtc_century, 0x32);
    EXPECT_TRUE(info.has_8259);
}

TEST_F(AcpiPlatform, ExtendedFadtFieldsComeFirst) {
    Fadt fadt = pc_fadt();
    fadt.flags |= fadt_timer_is_32_bit;
    fadt.x_pm_timer = {0, 32, 0, 3, 0xfed8'0808};
    fadt.x_pm1a_control = {1, 0 /* wrong in many a firmware */, 0, 0, 0x804};
    fadt.x_dsdt = dsdt_at;
    fadt.dsdt = 0x666;
    put_fadt(fadt, 5);
    const PlatformInfo info = read();
    EXPECT_EQ(info.pm_timer, (Register{Space::memory, 32, 0xfed8'0808}));
    EXPECT_EQ(info.pm1a_control, (Register{Space::io, 16, 0x804}));
    EXPECT_TRUE(info.s5.known);
}

TEST_F(AcpiPlatform, FirstRevisionOfTheFadt) {
    put_fadt(pc_fadt(), 1, fadt_v1_size);
    const PlatformInfo info = read();
    EXPECT_TRUE(info.has_fadt);
    EXPECT_EQ(info.pm_timer.address, 0x608u);
    EXPECT_FALSE(info.reset.exists());
}

TEST_F(AcpiPlatform, ShortFadtIsIgnored) {
    put_fadt(pc_fadt(), 1, fadt_v1_size - 1);
    EXPECT_FALSE(read().has_fadt);
    EXPECT_EQ(read().cpus.size(), 3u);
}

TEST_F(AcpiPlatform, HardwareReducedMachine) {
    Fadt fadt = pc_fadt();
    fadt.flags = fadt_hardware_reduced;
    fadt.sleep_control = {0, 8, 0, 1, 0xfed4'0000};
    put_fadt(fadt, 6);
    EXPECT_TRUE(read().hardware_reduced);
    EXPECT_EQ(read().sleep_control, (Register{Space::memory, 8, 0xfed4'0000}));
}

TEST_F(AcpiPlatform, WrongMadtLeavesTheBootCpu) {
    memory.region(madt_at).back() ^= 1;
    const PlatformInfo info = read();
    EXPECT_TRUE(info.cpus.empty());
    EXPECT_TRUE(info.io_apics.empty());
    EXPECT_EQ(info.local_apic, Maddr(0xfee0'0000));
    EXPECT_TRUE(info.has_fadt);
}

TEST_F(AcpiPlatform, MadtEntryLengthsThatCannotBe) {
    for (const u8 length : {u8{0}, u8{1}, u8{9}, u8{200}}) {
        MadtBody madt;
        madt.cpu(0, 0).add(MadtLocalApic{{}, 1, 1, 1}, MadtType::local_apic, length);
        put_madt(madt);
        EXPECT_EQ(read().cpus.size(), 1u) << unsigned{length};
    }
    MadtBody too_short;
    too_short.add(MadtNmiSource{}, MadtType::io_apic).cpu(7, 7);
    put_madt(too_short);
    EXPECT_EQ(read().cpus.size(), 1u);
    EXPECT_TRUE(read().io_apics.empty());
}

TEST_F(AcpiPlatform, CpusByX2apic) {
    MadtBody madt;
    madt.cpu(0, 0).cpu(1, 0xff);
    madt.add(MadtLocalX2apic{{}, 0, 0, 1, 0}, MadtType::local_x2apic);
    madt.add(MadtLocalX2apic{{}, 0, 300, 1, 5}, MadtType::local_x2apic);
    madt.add(MadtLocalApicAddress{{}, 0, 0xfee1'0000}, MadtType::local_apic_address);
    madt.add(MadtLocalX2apicNmi{{}, 5, 5, 1, {}}, MadtType::local_x2apic_nmi);
    madt.add(MadtLocalApicNmi{{}, 0xff, 5, 1}, MadtType::local_apic_nmi);
    put_madt(madt);
    const PlatformInfo info = read();
    ASSERT_EQ(info.cpus.size(), 2u);
    EXPECT_EQ(info.cpus[1].apic_id, 300u);
    EXPECT_EQ(info.local_apic, Maddr(0xfee1'0000));
    ASSERT_EQ(info.local_nmis.size(), 2u);
    EXPECT_EQ(info.local_nmis[0].acpi_id, 5u);
    EXPECT_EQ(info.local_nmis[1].acpi_id, all_cpus);
}

TEST_F(AcpiPlatform, MoreOfEverythingThanRoom) {
    MadtBody madt;
    for (unsigned i = 0; i < 400; ++i) madt.add(MadtLocalX2apic{{}, 0, i, 1, i}, MadtType::local_x2apic);
    for (u8 i = 0; i < 40; ++i) madt.io_apic(i, 0xfec0'0000 + i * 0x1000U, i * 24U);
    for (u8 i = 0; i < 40; ++i) madt.isa(i, i, 0);
    for (u8 i = 0; i < 40; ++i) madt.add(MadtLocalApicNmi{{}, i, 0, 1}, MadtType::local_apic_nmi);
    put_madt(madt);
    put_mcfg(std::vector<McfgEntry>(50, {0xb000'0000, 0, 0, 0, 0}));
    const PlatformInfo info = read();
    EXPECT_EQ(info.cpus.size(), max_cpus);
    EXPECT_EQ(info.io_apics.size(), max_io_apics);
    EXPECT_EQ(info.overrides.size(), 16u) << "ISA has 16 interrupts";
    EXPECT_EQ(info.local_nmis.size(), max_nmis);
    EXPECT_EQ(info.ecam.size(), max_ecam_ranges);
}

TEST_F(AcpiPlatform, ValuesThatCannotBe) {
    MadtBody madt;
    madt.io_apic(0, 0xfec0'0000, 0)
        .io_apic(1, 0xfec0'0000, 24)
        .io_apic(2, 0xfec0'1000, 0)
        .io_apic(3, 0, 48)
        .io_apic(4, 0xfec0'2000, ~0U);
    madt.isa(4, ~0U, 0).isa(5, 5, 0xf).isa(5, 21, 0xf);
    madt.add(MadtLocalApicAddress{{}, 0, 0xfee1'0001}, MadtType::local_apic_address);
    put_madt(madt);
    put_mcfg({{0, 0, 0, 255, 0}, {0xb000'1000, 0, 0, 255, 0}, {0xb000'0000, 0, 9, 8, 0}, {~u64{0} << 20, 0, 0, 255, 0}});
    const PlatformInfo info = read();
    EXPECT_EQ(info.io_apics.size(), 1u);
    EXPECT_EQ(info.gsi_of_isa(4).gsi, Gsi(4));
    EXPECT_EQ(info.gsi_of_isa(5).gsi, Gsi(21));
    EXPECT_EQ(info.gsi_of_isa(5).mode, pci_mode);
    EXPECT_EQ(info.local_apic, Maddr(0xfee0'0000));
    EXPECT_TRUE(info.ecam.empty());
}

TEST_F(AcpiPlatform, SciWithoutAnOverrideIsLevelLow) {
    MadtBody madt;
    put_madt(madt);
    EXPECT_EQ(read().sci().mode, pci_mode);
    put_madt(madt.isa(9, 20, 0));
    EXPECT_EQ(read().sci().gsi, Gsi(20));
    EXPECT_EQ(read().sci().mode, pci_mode);
}

TEST_F(AcpiPlatform, HpetInPortsIsIgnored) {
    Hpet hpet{};
    hpet.address = {1, 64, 0, 0, 0x40};
    memory.put(hpet_at, table_of(sig_hpet, hpet, 1));
    EXPECT_EQ(read().hpet, Maddr());
}

TEST_F(AcpiPlatform, WrongFacsIsIgnored) {
    memory.region(facs_at)[0] = 'X';
    EXPECT_EQ(read().facs, Maddr());
    memory.remove(facs_at);
    EXPECT_EQ(read().facs, Maddr());
}

TEST_F(AcpiPlatform, S5InAnSsdt) {
    memory.put(dsdt_at, table(sig_dsdt, {0}));
    EXPECT_FALSE(read().s5.known);
    memory.put(ssdt_at, table(sig_ssdt, s5_name));
    EXPECT_TRUE(read().s5.known);
}

std::optional<SleepTypes> s5_of(const Bytes& aml) {
    return find_s5(table(sig_dsdt, aml));
}

TEST(AcpiSleepPackage, Spellings) {
    EXPECT_EQ(s5_of({0x08, '\\', '_', 'S', '5', '_', 0x12, 0x05, 0x02, 0x0a, 0x07, 0x00})->a, 7);
    EXPECT_EQ(s5_of({0x08, '_', 'S', '5', '_', 0x12, 0x04, 0x02, 0x01, 0x01})->b, 1);
    EXPECT_EQ(s5_of({0x08, '_', 'S', '5', '_', 0x12, 0x03, 0x01, 0x01})->a, 1);
    EXPECT_EQ(s5_of({0x08, '_', 'S', '5', '_', 0x12, 0x47, 0x00, 0x02, 0x0b, 0x05, 0x00, 0x01})->a, 5)
        << "two length bytes, word";
    EXPECT_EQ(s5_of({0x08, '_', 'S', '5', '_', 0x12, 0x0c, 0x02, 0x0c, 5, 0, 0, 0, 0x0c, 6, 0, 0, 0})->b, 6);
}

TEST(AcpiSleepPackage, NotOurs) {
    EXPECT_FALSE(s5_of({}));
    EXPECT_FALSE(s5_of({0x08, '_', 'S', '5', '_'}));
    EXPECT_FALSE(s5_of({0x10, '_', 'S', '5', '_', 0x12, 0x04, 0x02, 0x01, 0x01})) << "no Name";
    EXPECT_FALSE(s5_of({0x08, '_', 'S', '5', '_', 0x12, 0x04, 0x00, 0x01, 0x01})) << "no elements";
    EXPECT_FALSE(s5_of({0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x04, '_', 'A', 'B', 'C'})) << "a name instead of a number";
    EXPECT_FALSE(s5_of({0x08, '_', 'S', '5', '_', 0x12, 0x03, 0x02, 0x01})) << "two promised, one there";
    EXPECT_FALSE(s5_of({0x08, '_', 'S', '5', '_', 0x12, 0x3f, 0x02, 0x01, 0x01})) << "longer than the table";
    EXPECT_FALSE(s5_of({0x08, '_', 'S', '5', '_', 0x12, 0xff, 0xff, 0xff, 0xff, 0x01})) << "longer than the table";
    EXPECT_FALSE(s5_of({0x08, '_', 'S', '5', '_', 0x12, 0x00, 0x02, 0x01, 0x01})) << "length without itself";
}

TEST(AcpiSleepPackage, EveryTruncation) {
    const Bytes whole = table(sig_dsdt, s5_name);
    for (usize size = sizeof(Header); size < whole.size(); ++size) {
        const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_FALSE(find_s5(part));
    }
    EXPECT_TRUE(find_s5(whole));
}

}  // namespace
}  // namespace xylem::acpi
