// SPDX-License-Identifier: MIT
#include "drivers/acpi/tables.hpp"

#include "abi/errno.hpp"
#include "base/log.hpp"

namespace xylem::acpi {

namespace {

// [ACPI 6.5, 5.2.5.1] The first KiB of the extended BIOS data area, then the BIOS read-only area; on 16-byte boundaries.
constexpr Maddr ebda_segment_at{0x40e};
constexpr u64 ebda_lowest = 0x8'0000;
constexpr u64 ebda_end = 0xa'0000;
constexpr usize ebda_searched = 1024;
constexpr Maddr bios_area{0xe'0000};
constexpr usize bios_area_size = 0x2'0000;
constexpr usize rsdp_alignment = 16;

// The RSDP at the start of `bytes`, if its checksums are right.
std::optional<Rsdp> parse_rsdp(TableBytes bytes) {
    if (bytes.size() < rsdp_v1_size) return std::nullopt;
    if (__builtin_memcmp(bytes.data(), rsdp_signature, 8) != 0) return std::nullopt;
    if (sum_of(bytes.first(rsdp_v1_size)) != 0) return std::nullopt;
    Rsdp rsdp = prefix_as<Rsdp>(bytes.first(rsdp_v1_size));
    if (rsdp.revision < 2 || bytes.size() < sizeof(Rsdp)) return rsdp;
    const Rsdp extended = prefix_as<Rsdp>(bytes);
    // A wrong extension leaves what revision 1 knew.
    if (extended.length < sizeof(Rsdp) || sum_of(bytes.first(sizeof(Rsdp))) != 0) {
        log::warning("ACPI: The RSDP's extended part is wrong (length {} or checksum); using its 32-bit part.",
                     u32{extended.length});
        rsdp.revision = 0;
        return rsdp;
    }
    return extended;
}

struct FoundRsdp {
    Rsdp rsdp;
    Maddr address;
};

std::optional<FoundRsdp> scan(PhysicalMemory& memory, Maddr start, usize bytes) {
    const u8* mapped = memory.map(start, bytes);
    if (mapped == nullptr) return std::nullopt;
    const TableBytes area(mapped, bytes);
    for (usize at = 0; at + rsdp_v1_size <= bytes; at += rsdp_alignment)
        if (const auto rsdp = parse_rsdp(area.subspan(at))) return FoundRsdp{*rsdp, start + at};
    return std::nullopt;
}

std::optional<FoundRsdp> find_rsdp(PhysicalMemory& memory, std::optional<Maddr> told) {
    if (told) {
        // The boot loader's copy of an old RSDP may end with the 20th byte and at the end of what can be mapped.
        for (const usize size : {sizeof(Rsdp), rsdp_v1_size}) {
            const u8* mapped = memory.map(*told, size);
            if (mapped == nullptr) continue;
            if (const auto rsdp = parse_rsdp({mapped, size})) return FoundRsdp{*rsdp, *told};
        }
        log::warning("ACPI: The boot loader's RSDP at {:#x} is wrong; searching the BIOS areas.", *told);
    }
    if (const u8* segment = memory.map(ebda_segment_at, 2)) {
        const u64 ebda = (u64{segment[0]} | u64{segment[1]} << 8) << 4;
        if (ebda >= ebda_lowest && ebda + ebda_searched <= ebda_end)
            if (const auto found = scan(memory, Maddr(ebda), ebda_searched)) return found;
    }
    return scan(memory, bios_area, bios_area_size);
}

}  // namespace

SignatureText::SignatureText(u32 signature) {
    // Two tables are known to everybody by another name than their signature.
    if (signature == sig_madt) signature = xylem::acpi::signature("MADT");
    if (signature == sig_fadt) signature = xylem::acpi::signature("FADT");
    for (unsigned i = 0; i < 4; ++i) {
        const char c = static_cast<char>(signature >> (8 * i));
        letters_[i] = c >= ' ' && c <= '~' ? c : '?';
    }
}

u8 sum_of(TableBytes bytes) {
    unsigned sum = 0;
    for (const u8 byte : bytes) sum += byte;
    return static_cast<u8>(sum);
}

std::optional<TableBytes> Tables::at(Maddr address, u32 signature) const {
    const SignatureText name(signature);
    if (address.raw == 0) return std::nullopt;
    const u8* head = memory_->map(address, sizeof(Header));
    if (head == nullptr) {
        log::warning("ACPI: {} at {:#x} cannot be read; ignoring it.", name, address);
        return std::nullopt;
    }
    const Header header = prefix_as<Header>({head, sizeof(Header)});
    if (header.signature != signature) {
        log::warning("ACPI: At {:#x} should be {} but is '{}'; ignoring it.", address, name, SignatureText(header.signature));
        return std::nullopt;
    }
    const u32 length = header.length;
    if (length < sizeof(Header) || length > max_table_size) {
        log::warning("ACPI: {} at {:#x} has the impossible length {}; ignoring it.", name, address, length);
        return std::nullopt;
    }
    const u8* mapped = memory_->map(address, length);
    if (mapped == nullptr) {
        log::warning("ACPI: {} at {:#x} cannot be read up to its length {}; ignoring it.", name, address, length);
        return std::nullopt;
    }
    const TableBytes bytes(mapped, length);
    if (sum_of(bytes) != 0) {
        log::warning("ACPI: {} checksum at {:#x} is wrong; ignoring the table.", name, address);
        return std::nullopt;
    }
    return bytes;
}

void Tables::add(Maddr address) {
    if (address.raw == 0) return;  // an empty slot; some firmware leaves them
    const u8* head = memory_->map(address, sizeof(Header));
    if (head == nullptr) {
        log::warning("ACPI: The table at {:#x} cannot be read; ignoring it.", address);
        return;
    }
    const u32 signature = prefix_as<Header>({head, sizeof(Header)}).signature;
    if (!at(address, signature)) return;
    if (!list_.push({signature, address}))
        log::warning("ACPI: More than {} tables; ignoring {} at {:#x}.", max_tables, SignatureText(signature), address);
}

bool Tables::list_from(Maddr root, u32 signature) {
    const auto bytes = at(root, signature);
    if (!bytes) return false;
    // Copied out first: looking at the tables takes the root table's mapping away.
    const usize pointer_size = signature == sig_xsdt ? 8 : 4;
    const usize count = (bytes->size() - sizeof(Header)) / pointer_size;
    FixedList<Maddr, max_tables> addresses;
    for (usize i = 0; i < count; ++i) {
        u64 address = 0;
        __builtin_memcpy(&address, bytes->data() + sizeof(Header) + i * pointer_size, pointer_size);
        if (!addresses.push(Maddr(address))) {
            log::warning("ACPI: {} names {} tables; looking at the first {} only.", SignatureText(signature), count, max_tables);
            break;
        }
    }
    for (const Maddr address : addresses) add(address);
    return true;
}

Result<Tables> Tables::find(PhysicalMemory& memory, std::optional<Maddr> rsdp) {
    const auto found = find_rsdp(memory, rsdp);
    if (!found) {
        log::error("ACPI: No RSDP found (neither from the boot loader nor in the BIOS areas): the machine cannot be described.");
        return fail(XEN_ENODEV);
    }
    Tables tables(memory);
    tables.rsdp_ = found->address;
    tables.revision_ = found->rsdp.revision;
    const bool has_xsdt = found->rsdp.revision >= 2 && found->rsdp.xsdt != 0;
    if (has_xsdt && tables.list_from(Maddr(found->rsdp.xsdt), sig_xsdt)) return tables;
    if (found->rsdp.rsdt != 0 && tables.list_from(Maddr(found->rsdp.rsdt), sig_rsdt)) return tables;
    log::error("ACPI: The RSDP at {:#x} leads to no usable XSDT or RSDT: the machine cannot be described.", found->address);
    return fail(XEN_ENODEV);
}

std::optional<TableBytes> Tables::table(u32 signature, usize index) const {
    for (const Entry& entry : list_)
        if (entry.signature == signature && index-- == 0) return at(entry.address, signature);
    return std::nullopt;
}

std::optional<Maddr> Tables::address_of(u32 signature) const {
    for (const Entry& entry : list_)
        if (entry.signature == signature) return entry.address;
    return std::nullopt;
}

}  // namespace xylem::acpi
