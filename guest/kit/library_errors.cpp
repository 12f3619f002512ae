// SPDX-License-Identifier: MIT
// Where the standard library's checks end that would throw in a program: string views cut behind their end.
#include <bits/functexcept.h>

#include "base/panic.hpp"

void std::__throw_out_of_range_fmt(const char* what, ...) {
    xylem::panic("the standard library: {}", what);
}
