// SPDX-License-Identifier: MIT
// The firmware's list of tables: RSDP -> XSDT or RSDT -> tables. Firmware is trusted not to attack us but not to be right:
// every length and checksum is looked at, a table that is wrong is reported by name and left out.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/result.hpp"
#include "drivers/acpi/physical_memory.hpp"
#include "drivers/acpi/platform_info.hpp"
#include "hw/acpi/tables.hpp"

namespace xylem::acpi {

// A table's bytes, checksum and length checked. Valid until the PhysicalMemory maps something else.
using TableBytes = std::span<const u8>;

// The table name that people know for a signature, printable.
class SignatureText {
   public:
    explicit SignatureText(u32 signature);
    operator std::string_view() const { return {letters_, sizeof letters_}; }

   private:
    char letters_[4];
};

u8 sum_of(TableBytes bytes);

// The first sizeof(T) bytes of `bytes` as a T; zeroes where the table is shorter (an older revision).
template <class T>
T prefix_as(TableBytes bytes) {
    T value{};
    __builtin_memcpy(&value, bytes.data(), bytes.size() < sizeof(T) ? bytes.size() : sizeof(T));
    return value;
}

class Tables {
   public:
    static constexpr usize max_tables = 96;

    // Finds the RSDP - at `rsdp` where the boot loader told it and it is right, else in the BIOS areas - and lists the tables.
    // `memory` must outlive the object. Fails with XEN_ENODEV (reported in the log) only if there is no usable RSDP or no
    // usable root table; wrong tables are reported and left out of the list.
    static Result<Tables> find(PhysicalMemory& memory, std::optional<Maddr> rsdp = std::nullopt);

    // The `index`-th table with this signature, e.g. one of several SSDTs; checked again in full because mappings are shared.
    std::optional<TableBytes> table(u32 signature, usize index = 0) const;

    // Its machine address, for whoever maps it in his own way (dmar, ivrs); the checksum was right.
    std::optional<Maddr> address_of(u32 signature) const;

    // A table that is not in the list but named by another one (DSDT). Wrong: reported, nullopt.
    std::optional<TableBytes> at(Maddr address, u32 signature) const;

    Maddr rsdp() const { return rsdp_; }
    u8 revision() const { return revision_; }
    PhysicalMemory& memory() const { return *memory_; }

   private:
    struct Entry {
        u32 signature = 0;
        Maddr address;
    };

    explicit Tables(PhysicalMemory& memory) : memory_(&memory) {}
    bool list_from(Maddr root, u32 signature);
    void add(Maddr address);

    PhysicalMemory* memory_;
    Maddr rsdp_;
    u8 revision_ = 0;
    FixedList<Entry, max_tables> list_;
};

}  // namespace xylem::acpi
