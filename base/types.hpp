// SPDX-License-Identifier: MIT
// The numbers of the hypervisor, each meaning its own type: a machine frame is never a guest frame.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace xylem {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;
using usize = std::size_t;

inline constexpr unsigned page_shift = 12;
inline constexpr u64 page_size = u64{1} << page_shift;
inline constexpr u64 page_mask = page_size - 1;
inline constexpr u64 kib = 1024;
inline constexpr u64 mib = 1024 * kib;
inline constexpr u64 gib = 1024 * mib;

// A number with a meaning. Arithmetic only with plain counts; comparison only with its own kind.
template <class Tag, std::unsigned_integral Rep>
struct Strong {
    Rep raw{};

    constexpr Strong() = default;
    constexpr explicit Strong(Rep n) : raw(n) {}
    constexpr Strong operator+(Rep n) const { return Strong(static_cast<Rep>(raw + n)); }
    constexpr Strong operator-(Rep n) const { return Strong(static_cast<Rep>(raw - n)); }
    constexpr Rep operator-(Strong other) const { return static_cast<Rep>(raw - other.raw); }
    constexpr Strong& operator++() {
        ++raw;
        return *this;
    }
    constexpr auto operator<=>(const Strong&) const = default;
};

using Mfn = Strong<struct MfnTag, u64>;      // machine frame number
using Gfn = Strong<struct GfnTag, u64>;      // frame number as a guest counts (pfn for PV)
using Maddr = Strong<struct MaddrTag, u64>;  // machine (physical) address, bytes
using Gva = Strong<struct GvaTag, u64>;      // guest virtual address, bytes

using DomId = Strong<struct DomIdTag, u16>;
using VcpuId = Strong<struct VcpuIdTag, u32>;
using CpuId = Strong<struct CpuIdTag, u32>;  // physical CPU, 0 .. number of CPUs - 1
using Port = Strong<struct PortTag, u32>;    // event channel port
using Pirq = Strong<struct PirqTag, u32>;    // interrupt as dom0's kernel counts them
using Gsi = Strong<struct GsiTag, u32>;      // global system interrupt (ACPI)

constexpr Mfn mfn_of(Maddr a) {
    return Mfn(a.raw >> page_shift);
}
constexpr Maddr maddr_of(Mfn m) {
    return Maddr(m.raw << page_shift);
}

inline constexpr Mfn invalid_mfn{~u64{0}};

// Time since the hypervisor started, nanoseconds.
using Nanos = i64;
inline constexpr Nanos never = INT64_MAX;

template <std::unsigned_integral U>
constexpr U align_up(U value, U to) {
    return (value + to - 1) & ~(to - 1);
}
template <std::unsigned_integral U>
constexpr U align_down(U value, U to) {
    return value & ~(to - 1);
}

// True where `at + size` neither wraps nor passes `limit`.
constexpr bool range_fits(u64 at, u64 size, u64 limit) {
    return size <= limit && at <= limit - size;
}

}  // namespace xylem
