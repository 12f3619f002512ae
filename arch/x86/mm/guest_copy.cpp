// SPDX-License-Identifier: MIT
// The machine contract's memory part on hardware.
#include "arch/x86/mm/device_frames.hpp"
#include "base/log.hpp"
#include "core/domain/domain.hpp"
#include "core/port/guest_map.hpp"
#include "core/port/io_rights.hpp"
#include "core/port/machine.hpp"
#include "core/port/memory_info.hpp"
#include "cpu/guest_access.hpp"
#include "cpu/layout.hpp"

namespace xylem::port {

bool copy_from_guest(void* to, u64 va, usize bytes) {
    if (!cpu::is_guest_range(va, bytes)) return false;
    cpu::user_access_begin();
    const bool ok = cpu::copy_bytes(to, reinterpret_cast<const void*>(va), bytes);
    cpu::user_access_end();
    return ok;
}

bool copy_to_guest(u64 va, const void* from, usize bytes) {
    if (!cpu::is_guest_range(va, bytes)) return false;
    cpu::user_access_begin();
    const bool ok = cpu::copy_bytes(reinterpret_cast<void*>(va), from, bytes);
    cpu::user_access_end();
    return ok;
}

void* frame_address(Mfn mfn) {
    return layout::direct_map(maddr_of(mfn));
}

Mfn gfn_to_mfn(Domain&, Gfn gfn) {
    return Mfn(gfn.raw);
}

void set_m2p(Mfn mfn, u64 pfn) {
    if (mfn.raw < layout::frame_count()) layout::m2p()[mfn.raw] = pfn;
}
u64 get_m2p(Mfn mfn) {
    return mfn.raw < layout::frame_count() ? layout::m2p()[mfn.raw] : ~u64{0};
}

}  // namespace xylem::port
