// SPDX-License-Identifier: MIT
#include "core/recorder/kept.hpp"

#include <algorithm>

namespace xylem::recorder {
namespace {

u64 sum_of(const Header& h) {
    u64 sum = 0x9e37'79b9'7f4a'7c15;
    for (const u64 word : {h.magic, u64{h.version}, u64{h.cpus}, h.khz}) sum = (sum ^ word) * 0x0000'0100'0000'01b3;
    return sum;
}

}  // namespace

void write_header(Header& h, u32 cpus, u64 khz) {
    h.magic = Header::magic_value;
    h.version = Header::layout_version;
    h.cpus = cpus;
    h.khz = khz;
    h.sum = sum_of(h);
    h.state = Header::running;
}

void note_reason(Header& h, std::string_view reason) {
    const usize count = std::min(reason.size(), sizeof h.reason - 1);
    std::copy_n(reason.data(), count, h.reason);
    h.reason[count] = '\0';
}

bool ended_badly(const Header& h) {
    return h.magic == Header::magic_value && h.version == Header::layout_version && h.cpus <= KeptMemory::ring_count &&
           h.sum == sum_of(h) && h.state == Header::running;
}

std::string_view reason_of(const Header& h) {
    const auto* end = std::find_if(std::begin(h.reason), std::end(h.reason), [](char c) { return c < ' ' || c > '~'; });
    return {h.reason, static_cast<usize>(end - h.reason)};
}

}  // namespace xylem::recorder
