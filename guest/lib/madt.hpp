// SPDX-License-Identifier: MIT
// What a dom0 needs of the MADT: the I/O APICs, and which legacy lines arrive elsewhere [ACPI 6.5, 5.2.12].
#pragma once

#include <cstring>
#include <span>

#include "base/types.hpp"
#include "hw/acpi/tables.hpp"

namespace xylem::acpi {

struct IoApicInfo {
    u8 id = 0;
    u32 address = 0, first_gsi = 0;
    u32 pins = 0;  // asked of the chip, not told by the table
};
struct LineOverride {
    u8 irq = 0;
    u32 gsi = 0;
    bool level = false, low = false;
};

struct Platform {
    static constexpr unsigned max_io_apics = 8, max_overrides = 16;
    IoApicInfo io_apics[max_io_apics];
    LineOverride overrides[max_overrides];
    unsigned io_apic_count = 0, override_count = 0, cpu_count = 0;
    u32 sci = 9;

    // Where a legacy line arrives and how.
    LineOverride line(u8 irq) const {
        for (unsigned i = 0; i < override_count; ++i)
            if (overrides[i].irq == irq) return overrides[i];
        return {irq, irq, false, false};
    }
    const IoApicInfo* io_apic_of(u32 gsi) const {
        for (unsigned i = 0; i < io_apic_count; ++i)
            if (gsi - io_apics[i].first_gsi < io_apics[i].pins) return &io_apics[i];
        return nullptr;
    }
};

// `table` is the whole MADT. Entries that are cut off or of no length end the reading; what came before counts.
inline void parse_madt(std::span<const u8> table, Platform& out) {
    const auto word = [&](usize at) {
        u32 v;
        std::memcpy(&v, table.data() + at, sizeof v);
        return v;
    };
    for (usize at = sizeof(Madt); at + 2 <= table.size();) {
        const u8 type = table[at], length = table[at + 1];
        if (length < 2 || at + length > table.size()) return;
        if (type == 0 && length >= 8 && (word(at + 4) & 1) != 0) ++out.cpu_count;
        if (type == 1 && length >= 12 && out.io_apic_count < Platform::max_io_apics)
            out.io_apics[out.io_apic_count++] = {table[at + 2], word(at + 4), word(at + 8), 0};
        if (type == 2 && length >= 10 && out.override_count < Platform::max_overrides) {
            const u32 flags = table[at + 8];
            out.overrides[out.override_count++] = {table[at + 3], word(at + 4), (flags >> 2 & 3) == 3, (flags & 3) == 3};
        }
        at += length;
    }
}

}  // namespace xylem::acpi
