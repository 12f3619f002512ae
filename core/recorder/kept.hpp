// SPDX-License-Identifier: MIT
// The rings' memory survives a warm reset: it lies at a place that the next start finds again, behind a header that tells whether
// anything useful is there.
#pragma once

#include <span>
#include <string_view>

#include "core/recorder/ring.hpp"

namespace xylem::recorder {

struct Header {
    static constexpr u64 magic_value = 0x4345'524d'454c'5958;  // "XYLEMREC"
    static constexpr u32 layout_version = 1;                   // of Header, Ring and Event
    static constexpr u64 running = 0x2167'6e69'6e6e'7572;      // "running!"
    static constexpr u64 ended = 0x2121'2164'6564'6e65;        // "ended!!!"

    u64 magic = 0;
    u32 version = 0;
    u32 cpus = 0;  // rings in use
    u64 khz = 0;   // of the TSC
    u64 sum = 0;   // of the words above
    u64 state = 0;
    char reason[160]{};  // why the hypervisor stopped
};

struct KeptMemory {
    static constexpr u32 ring_count = 15;

    alignas(page_size) Header header;
    alignas(page_size) Ring rings[ring_count];
};
static_assert(sizeof(KeptMemory) <= 512 * kib);

void write_header(Header& h, u32 cpus, u64 khz);
void note_reason(Header& h, std::string_view reason);

// Readable, and the hypervisor that wrote it was not told to end.
bool ended_badly(const Header& h);
// What is printable of the reason.
std::string_view reason_of(const Header& h);

// Where the kept memory goes; 0: nowhere. Firmware and boot loaders use memory from its ends inwards while they start the
// machine, so it lies in the middle. `ram_end`: of the RAM below 4 GiB. Ranges have `start` and `end`: free memory.
template <class Ranges>
u64 place_for_kept_memory(const Ranges& free, u64 ram_end) {
    // Coarse, because EFI's map differs a little from start to start.
    const u64 eighth = align_up(ram_end, 64 * mib) / 8;
    for (const u64 place : {4 * eighth, 5 * eighth, 3 * eighth})
        for (const auto& r : free)
            if (place >= r.start && place + align_up(u64{sizeof(KeptMemory)}, page_size) <= r.end) return place;
    return 0;
}

}  // namespace xylem::recorder
