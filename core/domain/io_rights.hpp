// SPDX-License-Identifier: MIT
// A domain's rights to I/O ports and to frames of devices: few ranges, given and taken by XEN_DOMCTL_ioport_permission and
// XEN_DOMCTL_iomem_permission.
#pragma once

#include "base/sync/spinlock.hpp"
#include "base/types.hpp"
#include "core/domain/range_set.hpp"

namespace xylem {

// What nobody may have (interrupt controllers, the hypervisor's devices) is looked up elsewhere: core/port/io_rights.hpp.
class IoRights {
   public:
    static constexpr u32 last_port = 0xffff;
    static constexpr u64 last_frame = ~u64{0} >> 12;

    // All there is: for the hardware domain.
    void give_all() {
        Guard guard(lock_);
        (void)ports_.add(0, last_port);
        (void)frames_.add(0, last_frame);
    }
    Result<> set_ports(u32 first, u32 last, bool allowed) {
        Guard guard(lock_);
        return allowed ? ports_.add(first, last) : ports_.remove(first, last);
    }
    Result<> set_frames(u64 first, u64 last, bool allowed) {
        Guard guard(lock_);
        return allowed ? frames_.add(first, last) : frames_.remove(first, last);
    }
    bool has_ports(u32 first, u32 last) const {
        Guard guard(lock_);
        return ports_.contains(first, last);
    }
    bool has_frames(u64 first, u64 last) const {
        Guard guard(lock_);
        return frames_.contains(first, last);
    }
    // Has it any device at all?
    bool any() const {
        Guard guard(lock_);
        return !ports_.empty() || !frames_.empty();
    }

   private:
    mutable Spinlock lock_;
    RangeSet<u32, 16> ports_ XYLEM_GUARDED_BY(lock_);
    RangeSet<u64, 32> frames_ XYLEM_GUARDED_BY(lock_);
};

}  // namespace xylem
