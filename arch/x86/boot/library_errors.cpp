// SPDX-License-Identifier: MIT
// What libstdc++'s checked accessors call when a position is out of range: our own mistake, always.
#include <bits/functexcept.h>

#include "base/panic.hpp"

void std::__throw_out_of_range_fmt(const char* what, ...) {
    xylem::panic("internal error: {}", what);
}
