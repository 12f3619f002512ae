// SPDX-License-Identifier: MIT
#include "drivers/acpi/sleep_package.hpp"

namespace xylem::acpi {

namespace {

// [ACPI 6.5, 20.2.3 and 20.2.5]
constexpr u8 aml_zero = 0x00;
constexpr u8 aml_one = 0x01;
constexpr u8 aml_name = 0x08;
constexpr u8 aml_byte = 0x0a;
constexpr u8 aml_word = 0x0b;
constexpr u8 aml_dword = 0x0c;
constexpr u8 aml_qword = 0x0e;
constexpr u8 aml_package = 0x12;
constexpr u8 aml_root = '\\';
constexpr u8 aml_ones = 0xff;

// A position in AML that never leaves the bytes.
class Cursor {
   public:
    explicit Cursor(TableBytes bytes) : rest_(bytes) {}

    std::optional<u8> byte() {
        if (rest_.empty()) return std::nullopt;
        const u8 value = rest_[0];
        rest_ = rest_.subspan(1);
        return value;
    }

    // A length that counts its own bytes too [20.2.4]; from here on the cursor ends where the object ends.
    bool enter_package() {
        const TableBytes whole = rest_;
        const auto lead = byte();
        if (!lead) return false;
        const unsigned more = *lead >> 6;
        usize length = more == 0 ? *lead & 0x3fU : *lead & 0x0fU;
        for (unsigned i = 0; i < more; ++i) {
            const auto next = byte();
            if (!next) return false;
            length |= usize{*next} << (4 + 8 * i);
        }
        if (length < more + 1 || length > whole.size()) return false;
        rest_ = whole.first(length).subspan(more + 1);
        return true;
    }

    std::optional<u64> integer() {
        const auto kind = byte();
        if (!kind) return std::nullopt;
        switch (*kind) {
            case aml_zero: return 0;
            case aml_one: return 1;
            case aml_ones: return ~u64{0};
            case aml_byte: return little_endian(1);
            case aml_word: return little_endian(2);
            case aml_dword: return little_endian(4);
            case aml_qword: return little_endian(8);
            default: return std::nullopt;
        }
    }

   private:
    std::optional<u64> little_endian(unsigned bytes) {
        u64 value = 0;
        for (unsigned i = 0; i < bytes; ++i) {
            const auto next = byte();
            if (!next) return std::nullopt;
            value |= u64{*next} << (8 * i);
        }
        return value;
    }

    TableBytes rest_;
};

constexpr u8 sleep_type_mask = 7;

std::optional<SleepTypes> parse_package(TableBytes after_name) {
    Cursor cursor(after_name);
    const auto opcode = cursor.byte();
    if (!opcode || *opcode != aml_package || !cursor.enter_package()) return std::nullopt;
    const auto elements = cursor.byte();
    if (!elements || *elements == 0) return std::nullopt;
    const auto a = cursor.integer();
    if (!a) return std::nullopt;
    // Machines with one PM1 block may leave the second number out.
    const auto b = *elements > 1 ? cursor.integer() : std::optional<u64>(0);
    if (!b) return std::nullopt;
    return SleepTypes{true, static_cast<u8>(*a & sleep_type_mask), static_cast<u8>(*b & sleep_type_mask)};
}

}  // namespace

std::optional<SleepTypes> find_s5(TableBytes table) {
    constexpr usize name_length = 4;
    for (usize at = sizeof(Header) + 1; at + name_length < table.size(); ++at) {
        if (table[at] != '_' || __builtin_memcmp(&table[at], "_S5_", name_length) != 0) continue;
        const bool is_name = table[at - 1] == aml_name || (table[at - 1] == aml_root && table[at - 2] == aml_name);
        if (!is_name) continue;
        if (const auto types = parse_package(table.subspan(at + name_length))) return types;
    }
    return std::nullopt;
}

}  // namespace xylem::acpi
