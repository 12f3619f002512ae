// SPDX-License-Identifier: MIT
// A broken invariant ends the process; tests see it as a crash.
#include "base/panic.hpp"

#include <cstdio>
#include <cstdlib>

namespace xylem {

void panic_with(std::string_view reason) {
    std::fprintf(stderr, "panic: %.*s\n", static_cast<int>(reason.size()), reason.data());
    std::abort();
}
void bug_at(const char* condition, const char* file, unsigned line) {
    std::fprintf(stderr, "BUG: %s at %s:%u\n", condition, file, line);
    std::abort();
}

}  // namespace xylem
