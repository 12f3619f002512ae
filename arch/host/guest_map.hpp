// SPDX-License-Identifier: MIT
// Who plays the page tables for grants: the real ones of arch/x86/pv, or a test's own (core/grant's tests have vCPUs without
// page tables).
#pragma once

#include "core/port/guest_map.hpp"
#include "core/port/memory_info.hpp"

namespace xylem::host {

class GuestMap {
   public:
    virtual Result<> map(u64 address, bool contains_pte, Mfn mfn, port::MapFlags flags) = 0;
    virtual Result<> unmap(u64 address, Mfn expected, bool contains_pte, bool readonly) = 0;
    virtual Result<> replace(Vcpu& vcpu, u64 address, u64 new_address, Mfn expected, bool readonly) = 0;
    virtual void flush() = 0;
    virtual Result<> allow_device(Mfn mfn, bool writable) = 0;
    virtual void revoke_device(Mfn mfn, bool writable) = 0;
    virtual bool reachable(u64 va, usize size) = 0;  // for copies from and to the guest
    virtual void preemption_point() = 0;

   protected:
    ~GuestMap() = default;
};
inline GuestMap* guest_map = nullptr;

}  // namespace xylem::host
