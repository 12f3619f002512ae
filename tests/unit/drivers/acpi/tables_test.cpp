// SPDX-License-Identifier: MIT
#include "drivers/acpi/tables.hpp"

#include <gtest/gtest.h>

#include "abi/errno.hpp"
#include "tests/unit/drivers/acpi/fake_firmware.hpp"

namespace xylem::acpi {
namespace {

using namespace test;

constexpr u64 rsdp_at = 0xf'5a40;
constexpr u64 xsdt_at = 0x7fe0'1000;
constexpr u64 rsdt_at = 0x7fe0'0000;
constexpr u64 hpet_at = 0x7fe0'2000;
constexpr u64 mcfg_at = 0x7fe0'3000;

Bytes bios_area_with(u64 address, const Bytes& rsdp) {
    Bytes area(0x2'0000, 0xff);
    std::copy(rsdp.begin(), rsdp.end(), area.begin() + static_cast<std::ptrdiff_t>(address - 0xe'0000));
    return area;
}

class AcpiTables : public ::testing::Test {
   protected:
    AcpiTables() {
        memory.put(0xe'0000, bios_area_with(rsdp_at, rsdp_bytes(rsdt_at, xsdt_at, 2)));
        memory.put(xsdt_at, xsdt({hpet_at, mcfg_at}));
        memory.put(rsdt_at, rsdt({static_cast<u32>(hpet_at)}));
        memory.put(hpet_at, table(sig_hpet, Bytes(20)));
        memory.put(mcfg_at, table(sig_mcfg, Bytes(24)));
    }
    FakeMemory memory;
};

TEST_F(AcpiTables, FoundInTheBiosArea) {
    const auto tables = Tables::find(memory);
    ASSERT_TRUE(tables);
    EXPECT_EQ(tables->rsdp(), Maddr(rsdp_at));
    EXPECT_EQ(tables->revision(), 2);
    EXPECT_EQ(tables->table(sig_hpet)->size(), 56u);
    EXPECT_EQ(tables->address_of(sig_mcfg), Maddr(mcfg_at));
    EXPECT_FALSE(tables->table(sig_madt));
    EXPECT_FALSE(tables->table(sig_hpet, 1));
    EXPECT_FALSE(tables->address_of(sig_dmar));
}

TEST_F(AcpiTables, BootLoadersAddressComesFirst) {
    memory.put(0x5000, rsdp_bytes(rsdt_at, 0, 0));
    const auto tables = Tables::find(memory, Maddr(0x5000));
    ASSERT_TRUE(tables);
    EXPECT_EQ(tables->rsdp(), Maddr(0x5000));
    EXPECT_TRUE(tables->table(sig_hpet));
    EXPECT_FALSE(tables->table(sig_mcfg)) << "the RSDT does not list it";
}

TEST_F(AcpiTables, WrongAddressFromTheBootLoaderFallsBackToTheScan) {
    EXPECT_TRUE(Tables::find(memory, Maddr(0x1234'5000)));
    EXPECT_TRUE(Tables::find(memory, Maddr(hpet_at)));
}

TEST_F(AcpiTables, FoundInTheEbda) {
    memory.put(0xe'0000, Bytes(0x2'0000));
    memory.put(0x40e, {0xc0, 0x9f});
    Bytes ebda(0x400);
    const Bytes rsdp = rsdp_bytes(rsdt_at, xsdt_at, 2);
    std::copy(rsdp.begin(), rsdp.end(), ebda.begin() + 0x30);
    memory.put(0x9'fc00, ebda);
    const auto tables = Tables::find(memory);
    ASSERT_TRUE(tables);
    EXPECT_EQ(tables->rsdp(), Maddr(0x9'fc30));
}

TEST_F(AcpiTables, OldRsdpAtTheVeryEndOfTheArea) {
    memory.put(0xe'0000, bios_area_with(0xf'ffe0, rsdp_bytes(rsdt_at, 0, 0)));
    const auto tables = Tables::find(memory);
    ASSERT_TRUE(tables);
    EXPECT_EQ(tables->rsdp(), Maddr(0xf'ffe0));
}

TEST_F(AcpiTables, NoRsdpIsFatal) {
    memory.put(0xe'0000, Bytes(0x2'0000));
    EXPECT_EQ(Tables::find(memory).error(), XEN_ENODEV);
    memory.remove(0xe'0000);
    EXPECT_EQ(Tables::find(memory).error(), XEN_ENODEV);
}

TEST_F(AcpiTables, RsdpWithWrongChecksumIsNotOne) {
    memory.region(0xe'0000)[rsdp_at - 0xe'0000 + 10] ^= 1;
    EXPECT_EQ(Tables::find(memory).error(), XEN_ENODEV);
}

TEST_F(AcpiTables, WrongExtendedPartLeavesTheRsdt) {
    memory.region(0xe'0000)[rsdp_at - 0xe'0000 + offsetof(Rsdp, xsdt)] ^= 1;
    const auto tables = Tables::find(memory);
    ASSERT_TRUE(tables);
    EXPECT_TRUE(tables->table(sig_hpet));
    EXPECT_FALSE(tables->table(sig_mcfg));
}

TEST_F(AcpiTables, WrongXsdtLeavesTheRsdt) {
    memory.region(xsdt_at)[40] ^= 1;
    EXPECT_TRUE(Tables::find(memory)->table(sig_hpet));
    EXPECT_FALSE(Tables::find(memory)->table(sig_mcfg));
    memory.region(rsdt_at)[38] ^= 1;
    EXPECT_EQ(Tables::find(memory).error(), XEN_ENODEV);
}

TEST_F(AcpiTables, WrongTablesAreLeftOut) {
    memory.region(hpet_at)[50] ^= 1;
    EXPECT_FALSE(Tables::find(memory)->table(sig_hpet));
    EXPECT_TRUE(Tables::find(memory)->table(sig_mcfg));
}

TEST_F(AcpiTables, WrongLengthsAreLeftOut) {
    for (const u32 length : {0u, 8u, 35u, 61u, 0x7fff'ffffu, 0xffff'ffffu}) {
        Bytes& hpet = memory.region(hpet_at);
        std::memcpy(&hpet[offsetof(Header, length)], &length, sizeof length);
        fix_checksum(hpet);
        EXPECT_FALSE(Tables::find(memory)->table(sig_hpet)) << length;
    }
}

TEST_F(AcpiTables, UnreadableTablesAreLeftOut) {
    memory.put(xsdt_at, xsdt({0, 0xdead'0000'0000'0000, mcfg_at, ~u64{0}}));
    EXPECT_TRUE(Tables::find(memory)->table(sig_mcfg));
    EXPECT_FALSE(Tables::find(memory)->table(sig_hpet));
}

TEST_F(AcpiTables, SeveralOfOneKind) {
    memory.put(0x1000, table(sig_ssdt, {1}));
    memory.put(0x2000, table(sig_ssdt, {2}));
    memory.put(xsdt_at, xsdt({0x1000, 0x2000}));
    const auto tables = Tables::find(memory);
    EXPECT_EQ(tables->table(sig_ssdt, 0)->back(), 1);
    EXPECT_EQ(tables->table(sig_ssdt, 1)->back(), 2);
    EXPECT_FALSE(tables->table(sig_ssdt, 2));
}

TEST_F(AcpiTables, MoreTablesThanRoom) {
    memory.put(xsdt_at, xsdt(std::vector<u64>(500, hpet_at)));
    const auto tables = Tables::find(memory);
    EXPECT_TRUE(tables->table(sig_hpet, Tables::max_tables - 1));
    EXPECT_FALSE(tables->table(sig_hpet, Tables::max_tables));
}

TEST(AcpiSignature, UnprintableLettersAreReplaced) {
    EXPECT_EQ(std::string_view(SignatureText(0x01'41'ff'42)), "B?A?");
}

}  // namespace
}  // namespace xylem::acpi
