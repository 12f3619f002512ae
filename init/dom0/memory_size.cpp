// SPDX-License-Identifier: MIT
#include "init/dom0/memory_size.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "core/domain/domain.hpp"
#include "core/mem/frames.hpp"

namespace xylem::dom0 {

u64 memory_pages(const init::Options& options, u64 available) {
    // Without dom0_mem nearly everything: a sixteenth stays for the hypervisor's own needs and devices' buffers, 128 MiB at most.
    const u64 bytes = available << page_shift;
    const u64 keep = std::min<u64>(bytes / 16, 128 * mib);
    const u64 wanted = options.dom0_mem.initial_of(bytes, bytes - keep);
    const u64 most = bytes - std::min<u64>(keep, 8 * mib);
    const auto& asked = options.dom0_mem.initial.given ? options.dom0_mem.initial : options.dom0_mem.least;
    if (asked.given && !asked.negative && asked.bytes > most)
        log::warning("dom0_mem asks for {} MiB, but only {} MiB are free: dom0 gets {} MiB", asked.bytes / mib, bytes / mib,
                     std::min(wanted, most) / mib);
    return std::min(wanted, most) >> page_shift;
}

u64 memory_limit(const init::Options& options) {
    if (!options.dom0_mem.most.given) return ~u64{0} >> 16;
    return options.dom0_mem.most.of(frames().total_frames() << page_shift) >> page_shift;
}

u32 vcpu_count(const init::Options& options, u32 cpus) {
    return std::min(std::clamp(cpus, options.dom0_max_vcpus.least, options.dom0_max_vcpus.most), max_vcpus_per_domain);
}

}  // namespace xylem::dom0
