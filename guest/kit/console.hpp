// SPDX-License-Identifier: MIT
// Lines for people: through the hypervisor's console in dom0, through the ring to the console daemon in a domU.
#pragma once

#include <string_view>

#include "abi/xen.hpp"
#include "base/text/format.hpp"

namespace xylem::kit {

// From here on write() reaches somebody. Called by the start before anything else can fail.
void start_console(const start_info_t& info);
// The ring of a domU, once its page is mapped: until then what is written is lost.
void finish_console();
void use_console_ring(void* page, u32 port);

// Whole lines go out in one piece, so that lines of others do not cut them.
void write(std::string_view text);

template <class... Args>
void print(text::FormatString<std::type_identity_t<Args>...> f, const Args&... args) {
    text::FixedText<512> line;
    text::format<Args...>(line, f, args...);
    line.write("\n");
    write(line.view());
}

// Waits until everything written has been taken.
void flush_console();

}  // namespace xylem::kit
