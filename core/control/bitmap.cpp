// SPDX-License-Identifier: MIT
#include "core/control/bitmap.hpp"

#include <algorithm>
#include <array>

#include "core/port/guest.hpp"
#include "core/port/preempt.hpp"

namespace xylem::control {

using sched::CpuMask;

namespace {
constexpr u32 mask_bytes = CpuMask::capacity / 8;
}

CpuMask online_mask() {
    CpuMask m;
    for (u32 i = 0; i < port::online_cpus(); ++i) m.set(CpuId(i));
    return m;
}

Result<CpuMask> read_mask(const xenctl_bitmap& from) {
    const u32 bits = std::min<u32>(from.nr_bits, CpuMask::capacity);
    std::array<u8, mask_bytes> bytes{};
    TRY(GuestPtr<u8>(from.bitmap).read_many(bytes.data(), (bits + 7) / 8));
    CpuMask m;
    for (u32 i = 0; i < bits; ++i)
        if (((bytes[i / 8] >> (i % 8)) & 1) != 0) m.set(CpuId(i));
    return m;
}

Result<> write_mask(const xenctl_bitmap& to, const CpuMask& mask) {
    std::array<u8, mask_bytes> bytes{};
    const u32 bits = std::min(to.nr_bits, port::online_cpus());
    for (u32 i = 0; i < bits; ++i)
        if (mask.has(CpuId(i))) bytes[i / 8] = static_cast<u8>(bytes[i / 8] | (1U << (i % 8)));
    const u64 room = (u64{to.nr_bits} + 7) / 8;
    const GuestPtr<u8> at(to.bitmap);
    TRY(at.write_many(bytes.data(), std::min<u64>(room, mask_bytes)));
    constexpr std::array<u8, 64> zeros{};
    for (u64 done = mask_bytes; done < room; done += zeros.size()) {
        TRY(at.element(done).write_many(zeros.data(), std::min<u64>(room - done, zeros.size())));
        port::preemption_point();
    }
    return {};
}

}  // namespace xylem::control
