// SPDX-License-Identifier: MIT
#include "guest/lib/acpi.hpp"

#include "guest/kit/calls.hpp"
#include "guest/kit/paging.hpp"

namespace xylem::acpi {
namespace {

constexpr u64 bios_area = 0xe0000, bios_bytes = 0x20000;
constexpr u64 table_limit = 1 << 20;
constexpr u64 readable = kit::pte::read_only;

bool sums_to_zero(const u8* p, usize n) {
    u8 sum = 0;
    for (usize i = 0; i < n; ++i) sum = static_cast<u8>(sum + p[i]);
    return sum == 0;
}

Result<const Rsdp*> find_rsdp() {
    const auto* area = static_cast<const u8*>(TRY(kit::map_machine(Maddr(bios_area), bios_bytes, readable)));
    for (u64 at = 0; at + sizeof(Rsdp) <= bios_bytes; at += 16)
        if (std::memcmp(area + at, rsdp_signature, 8) == 0 && sums_to_zero(area + at, rsdp_v1_size))
            return reinterpret_cast<const Rsdp*>(area + at);
    return fail(XEN_ENOENT);
}

// A table, whole and with a good checksum.
Result<std::span<const u8>> table_at(u64 address) {
    Header h;
    std::memcpy(&h, TRY(kit::map_machine(Maddr(address), sizeof h, readable)), sizeof h);
    if (h.length < sizeof h || h.length > table_limit) return fail(XEN_EINVAL);
    const auto* bytes = static_cast<const u8*>(TRY(kit::map_machine(Maddr(address), h.length, readable)));
    if (!sums_to_zero(bytes, h.length)) return fail(XEN_EINVAL);
    return std::span(bytes, h.length);
}

Result<> read_chip_sizes(Platform& p) {
    for (unsigned i = 0; i < p.io_apic_count; ++i) {
        physdev_apic_t request{.apic_physbase = p.io_apics[i].address, .reg = 1, .value = 0};
        if (const long r = kit::call_physdev(PHYSDEVOP_apic_read, &request); r < 0) return fail(static_cast<Errno>(-r));
        p.io_apics[i].pins = (request.value >> 16 & 0xff) + 1;
    }
    return {};
}

}  // namespace

Result<const Platform*> platform() {
    static Platform found;
    static bool known = false;
    if (known) return &found;
    const Rsdp* const rsdp = TRY(find_rsdp());
    const bool wide = rsdp->revision >= 2 && rsdp->xsdt != 0;
    const std::span<const u8> root = TRY(table_at(wide ? rsdp->xsdt : rsdp->rsdt));
    const usize width = wide ? 8 : 4;
    for (usize at = sizeof(Header); at + width <= root.size(); at += width) {
        u64 address = 0;
        std::memcpy(&address, root.data() + at, width);
        const auto table = table_at(address);
        if (!table) continue;
        u32 sig;
        std::memcpy(&sig, table->data(), sizeof sig);
        if (sig == sig_madt) parse_madt(*table, found);
        if (sig == sig_fadt && table->size() >= 48) {
            u16 sci;
            std::memcpy(&sci, table->data() + offsetof(Fadt, sci_interrupt), sizeof sci);
            found.sci = sci;
        }
    }
    if (found.io_apic_count == 0) return fail(XEN_ENOENT);
    TRY(read_chip_sizes(found));
    known = true;
    return &found;
}

}  // namespace xylem::acpi
