// SPDX-License-Identifier: MIT
#include "arch/x86/mm/hypervisor_tables.hpp"
#include "core/domain/domain.hpp"
#include "core/port/memory_info.hpp"
#include "cpu/layout.hpp"

namespace xylem::port {

u64 m2p_extents() {
    return align_up(layout::frame_count() * sizeof(u64), 2 * mib) / (2 * mib);
}

Mfn m2p_extent(u64 index) {
    return mfn_of(Maddr(machine_address_of(layout::m2p_start + index * 2 * mib)));
}

u64 maximum_guest_frame(Domain& d) {
    const u64 frames = d.shared->arch.max_pfn;
    return frames == 0 ? 0 : frames - 1;
}

}  // namespace xylem::port
