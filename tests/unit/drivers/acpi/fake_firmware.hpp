// SPDX-License-Identifier: MIT
// A machine's physical memory with ACPI tables in it, built by the test.
#pragma once

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "drivers/acpi/physical_memory.hpp"
#include "hw/acpi/tables.hpp"

namespace xylem::acpi::test {

using Bytes = std::vector<u8>;

// Only the last mapping stays readable, in a buffer of exactly its size: ASan sees reads outside and reads after the next map().
class FakeMemory final : public PhysicalMemory {
   public:
    void put(u64 address, Bytes bytes) { regions_[address] = std::move(bytes); }
    Bytes& region(u64 address) { return regions_.at(address); }
    void remove(u64 address) { regions_.erase(address); }

    const u8* map(Maddr start, usize bytes) override {
        window_ = std::vector<u8>();
        auto next = regions_.upper_bound(start.raw);
        if (next == regions_.begin()) return nullptr;
        const auto& [address, content] = *std::prev(next);
        if (!range_fits(start.raw - address, bytes, content.size())) return nullptr;
        const auto first = content.begin() + static_cast<std::ptrdiff_t>(start.raw - address);
        window_.assign(first, first + static_cast<std::ptrdiff_t>(bytes));
        window_.shrink_to_fit();
        return window_.data();
    }

   private:
    std::map<u64, Bytes> regions_;
    std::vector<u8> window_;
};

inline u8 sum(const Bytes& bytes, usize count) {
    unsigned total = 0;
    for (usize i = 0; i < count; ++i) total += bytes[i];
    return static_cast<u8>(total);
}

inline void append(Bytes& to, const void* from, usize size) {
    const u8* bytes = static_cast<const u8*>(from);
    to.insert(to.end(), bytes, bytes + size);
}
template <class T>
void append(Bytes& to, const T& value) {
    append(to, &value, sizeof value);
}

inline void fix_checksum(Bytes& table) {
    table[offsetof(Header, checksum)] = 0;
    table[offsetof(Header, checksum)] = static_cast<u8>(-sum(table, table.size()));
}

inline Bytes table(u32 signature, const Bytes& body, u8 revision = 1) {
    Header header{};
    header.signature = signature;
    header.length = static_cast<u32>(sizeof header + body.size());
    header.revision = revision;
    Bytes bytes;
    append(bytes, header);
    append(bytes, body.data(), body.size());
    fix_checksum(bytes);
    return bytes;
}

// A structure that starts with a Header.
template <class T>
Bytes table_of(u32 signature, const T& value, u8 revision, usize size = sizeof(T)) {
    Bytes body;
    append(body, &value, size);
    body.erase(body.begin(), body.begin() + sizeof(Header));
    return table(signature, body, revision);
}

inline Bytes rsdp_bytes(u32 rsdt, u64 xsdt, u8 revision) {
    Rsdp rsdp{};
    std::memcpy(rsdp.signature, rsdp_signature, sizeof rsdp.signature);
    rsdp.revision = revision;
    rsdp.rsdt = rsdt;
    rsdp.length = sizeof rsdp;
    rsdp.xsdt = xsdt;
    Bytes bytes;
    append(bytes, rsdp);
    bytes[offsetof(Rsdp, checksum)] = static_cast<u8>(-sum(bytes, rsdp_v1_size));
    bytes[offsetof(Rsdp, extended_checksum)] = static_cast<u8>(-sum(bytes, sizeof rsdp));
    if (revision < 2) bytes.resize(rsdp_v1_size);
    return bytes;
}

inline Bytes xsdt(const std::vector<u64>& addresses) {
    Bytes body;
    for (const u64 address : addresses) append(body, address);
    return table(sig_xsdt, body);
}
inline Bytes rsdt(const std::vector<u32>& addresses) {
    Bytes body;
    for (const u32 address : addresses) append(body, address);
    return table(sig_rsdt, body);
}

}  // namespace xylem::acpi::test
