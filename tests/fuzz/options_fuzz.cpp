// SPDX-License-Identifier: MIT
// The boot loader's string may be anything: no crash, no endless loop, and values within their documented bounds.
#include <bit>
#include <cstdlib>
#include <string_view>

#include "core/console/console.hpp"
#include "init/options.hpp"

using namespace xylem;

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    init::Options options;
    init::parse_options(text, options);
    const bool sound = std::has_single_bit(options.conring_size) && options.conring_size <= 16 * mib &&
                       options.dom0_max_vcpus.least <= options.dom0_max_vcpus.most && options.com1.io_base != 0 &&
                       options.dom0_mem.initial.of(gib) <= gib && options.watchdog_timeout >= 1 &&
                       options.loglvl.always <= options.loglvl.limited;
    if (!sound) std::abort();
    // What is shown can be read back.
    for (const init::Option& row : init::option_table()) {
        if (row.apply == nullptr) continue;
        text::FixedText<4096> shown;
        row.show(options, shown);
        init::Options again;
        if (row.name != "iommu" && !shown.view().empty() && !row.apply(again, {.text = shown.view(), .given = true}))
            std::abort();
    }
    return 0;
}
