// SPDX-License-Identifier: MIT
// Firmware tables with arbitrary bodies. Input: a byte of switches, then tables as {signature selector, 16-bit length, bytes...}.
// Checksums and lengths are put right unless the switches say otherwise: else the fuzzer would only ever see them refused.
#include <algorithm>

#include "drivers/acpi/platform.hpp"
#include "tests/unit/drivers/acpi/fake_firmware.hpp"

namespace {

using namespace xylem;
using namespace xylem::acpi;
using namespace xylem::acpi::test;

constexpr u32 signatures[] = {sig_madt, sig_fadt, sig_dsdt, sig_ssdt, sig_hpet, sig_mcfg, sig_facs, sig_dmar};
constexpr u64 tables_at = 0x10'0000;
constexpr u64 table_distance = 0x2'0000;

constexpr u8 raw_bios_area = 1;
constexpr u8 keep_lengths = 2;
constexpr u8 keep_checksums = 4;
constexpr u8 use_rsdt = 8;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
    if (size == 0) return 0;
    const u8 switches = data[0];
    std::span<const u8> rest(data + 1, size - 1);
    FakeMemory memory;
    Bytes bios(0x2'0000);
    std::vector<u64> addresses;
    if ((switches & raw_bios_area) != 0) {
        std::copy_n(rest.begin(), std::min(rest.size(), bios.size()), bios.begin());
    } else {
        const Bytes rsdp = (switches & use_rsdt) != 0 ? rsdp_bytes(0x9000, 0, 0) : rsdp_bytes(0, 0x9000, 2);
        std::copy(rsdp.begin(), rsdp.end(), bios.begin());
    }
    memory.put(0xe'0000, std::move(bios));
    while (rest.size() >= 3 && addresses.size() < 200) {
        const u32 signature = signatures[rest[0] % std::size(signatures)];
        const usize length = std::min<usize>(rest[1] | usize{rest[2]} << 8, rest.size() - 3);
        Bytes bytes(rest.begin() + 3, rest.begin() + 3 + static_cast<std::ptrdiff_t>(length));
        rest = rest.subspan(3 + length);
        bytes.resize(std::max(bytes.size(), sizeof(Header)));
        std::memcpy(bytes.data(), &signature, sizeof signature);
        const u32 whole = static_cast<u32>(bytes.size());
        if ((switches & keep_lengths) == 0) std::memcpy(&bytes[offsetof(Header, length)], &whole, sizeof whole);
        if ((switches & keep_checksums) == 0) fix_checksum(bytes);
        addresses.push_back(tables_at + addresses.size() * table_distance);
        memory.put(addresses.back(), std::move(bytes));
    }
    std::vector<u32> narrow;
    for (const u64 address : addresses) narrow.push_back(static_cast<u32>(address));
    memory.put(0x9000, (switches & use_rsdt) != 0 ? rsdt(narrow) : xsdt(addresses));

    const auto tables = Tables::find(memory);
    if (!tables) return 0;
    PlatformInfo info;
    read_platform(*tables, info);
    for (const EcamRange& range : info.ecam)
        if (range.first_bus > range.last_bus) __builtin_trap();
    for (const IoApic& io_apic : info.io_apics)
        if (io_apic.address.raw == 0) __builtin_trap();
    return 0;
}
