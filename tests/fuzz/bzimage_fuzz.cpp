// SPDX-License-Identifier: MIT
// A boot module: find the payload and unpack it. The first byte chooses between the rest as a whole module, the rest as a packed
// stream, and changes to a good module or stream.
#include <algorithm>
#include <array>

#include "init/dom0/image/decompress.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/unit/init/dom0/image_kernel.hpp"

using namespace xylem;
using namespace xylem::image;

namespace {

constexpr usize plain_size = 3000;
constexpr usize formats = 6;

struct Choice {
    Format format;
    bool spoiled;  // a good one with changes, else all the input's
    bool module;   // a bzImage, else its payload alone
};

std::vector<u8> bytes_of(const Choice& choice, fuzz::Input in) {
    if (!choice.spoiled) return {in.at, in.end};
    static const auto packed = [] {  // the packers take far longer than what is tested
        std::array<std::vector<u8>, formats> all;
        const std::vector<u8> plain = testing::code_like(plain_size);
        for (usize i = 0; i < all.size(); ++i) all[i] = testing::pack(static_cast<Format>(i), plain);
        return all;
    }();
    std::vector<u8> bytes = packed[static_cast<usize>(choice.format)];
    if (choice.module) bytes = testing::bzimage(bytes, plain_size, choice.format != Format::gzip);
    fuzz::spoil(bytes, in);
    return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
    if (size == 0) return 0;
    const Choice choice{static_cast<Format>(data[0] % formats), (data[0] & 0x40) != 0, (data[0] & 0x80) != 0};
    const std::vector<u8> bytes = bytes_of(choice, {data + 1, data + size});
    static std::vector<u8> area(8 * mib);
    Scratch scratch(area);
    if (!choice.module) {
        std::vector<u8> out(plain_size);
        const auto got = decompress(choice.format, bytes, out, scratch);
        if (got && *got > out.size()) __builtin_trap();
        return 0;
    }
    auto payload = find_payload(bytes);
    if (!payload) return 0;
    (void)scratch_bytes(*payload);
    payload->unpacked_size = std::min<u64>(payload->unpacked_size, 1 * mib);
    static fuzz::Area room(1 * mib);
    const std::span<u8> out = room.first(payload->unpacked_size);
    const auto got = unpack(*payload, out, scratch);
    if (got && got->size() != out.size()) __builtin_trap();
    return 0;
}
