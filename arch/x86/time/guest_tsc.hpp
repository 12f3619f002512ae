// SPDX-License-Identifier: MIT
// What RDTSC tells a guest: the hardware's count, or one that the hypervisor makes from system time, of a rate of its own and
// counted from where it stood when the guest was saved [XEN_DOMCTL_settscinfo].
#pragma once

#include "arch/x86/time/scale.hpp"
#include "arch/x86/time/steering.hpp"

namespace xylem {

struct GuestTsc {
    u32 mode = 0;         // as the tools chose
    u32 incarnation = 0;  // how often somebody chose
    bool emulated = false;
    // Where emulated:
    u32 khz = 0;
    Nanos zero = 0;  // the system time at which it is (or would have been) 0
    time::Scale from_nanos, to_nanos;

    constexpr u64 at(Nanos system) const {
        return system <= zero ? 0 : from_nanos.apply(static_cast<u64>(system) - static_cast<u64>(zero));
    }
    // The clock's stamp in terms of what the guest's RDTSC gives.
    constexpr time::Stamp seen(const time::Stamp& s) const {
        return emulated ? time::Stamp{at(s.system), s.system, to_nanos} : s;
    }
};

}  // namespace xylem
