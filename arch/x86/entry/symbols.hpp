// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

#include "base/types.hpp"

namespace xylem {

struct Symbol {
    std::string_view name;
    u64 offset = 0;
};

// The function an address of the hypervisor's code belongs to; empty for others.
Symbol symbol_of(u64 address);

}  // namespace xylem
