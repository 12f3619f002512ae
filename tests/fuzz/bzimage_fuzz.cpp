// SPDX-License-Identifier: MIT
// Bytes as a boot module: find the payload and unpack it. The first byte chooses: 0 takes the rest as a whole module, others hand
// it to one decompressor directly.
#include <algorithm>
#include <vector>

#include "init/dom0/image/decompress.hpp"

using namespace xylem;
using namespace xylem::image;

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
    if (size == 0) return 0;
    const std::vector<u8> module(data + 1, data + size);
    static std::vector<u8> area(8 * mib);
    Scratch scratch(area);
    if (data[0] != 0) {
        std::vector<u8> out(data[0] * 64u);
        const auto got = decompress(static_cast<Format>(data[0] % 6), module, out, scratch);
        if (got && *got > out.size()) __builtin_trap();
        return 0;
    }
    auto payload = find_payload(module);
    if (!payload) return 0;
    (void)scratch_bytes(*payload);
    payload->unpacked_size = std::min<u64>(payload->unpacked_size, 1 * mib);
    std::vector<u8> out(payload->unpacked_size);
    const auto got = unpack(*payload, out, scratch);
    if (got && got->size() != out.size()) __builtin_trap();
    return 0;
}
