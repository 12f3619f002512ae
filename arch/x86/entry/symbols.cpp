// SPDX-License-Identifier: MIT
#include "arch/x86/entry/symbols.hpp"

extern "C" char image_begin[], text_end[];

namespace xylem {

Symbol symbol_of(u64 address) {
    // The table of names is not in the image yet: the address itself is what `xylem.sym` resolves.
    if (address < reinterpret_cast<u64>(image_begin) || address >= reinterpret_cast<u64>(text_end)) return {};
    return {"text", address - reinterpret_cast<u64>(image_begin)};
}

}  // namespace xylem
