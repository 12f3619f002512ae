// SPDX-License-Identifier: MIT
// The table is written into the linked image by tools/symbols.py, which describes its form.
#include "arch/x86/entry/symbols.hpp"

#include <algorithm>
#include <cstring>
#include <span>

extern "C" const char image_begin[], text_end[], symbols_begin[], symbols_end[];

namespace xylem {
namespace {

struct Row {
    u32 offset;  // from image_begin
    u32 name;    // from symbols_begin
};

std::span<const Row> rows() {
    u32 count = 0;
    std::memcpy(&count, symbols_begin, sizeof count);
    const usize most = (static_cast<usize>(symbols_end - symbols_begin) - sizeof count) / sizeof(Row);
    return {reinterpret_cast<const Row*>(symbols_begin + sizeof count), std::min<usize>(count, most)};
}

}  // namespace

Symbol symbol_of(u64 address) {
    const u64 begin = reinterpret_cast<u64>(image_begin);
    if (address < begin || address >= reinterpret_cast<u64>(text_end)) return {};
    const std::span<const Row> all = rows();
    const auto next =
        std::upper_bound(all.begin(), all.end(), address - begin, [](u64 at, const Row& r) { return at < r.offset; });
    if (next == all.begin()) return {"text", address - begin};  // an image without names: xylem.sym resolves it
    const Row& row = *(next - 1);
    if (row.name >= static_cast<usize>(symbols_end - symbols_begin)) return {"text", address - begin};
    return {symbols_begin + row.name, address - begin - row.offset};
}

}  // namespace xylem
