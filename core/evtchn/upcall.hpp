// SPDX-License-Identifier: MIT
#pragma once

#include "core/domain/vcpu.hpp"

namespace xylem::evtchn {

// There is something for the vCPU to look at. It is told when it was not told before; whoever clears the byte looks for
// events afterwards. `info` is read last: an event that went to a former place is covered by the new one, where everything is
// marked as pending (VCPUOP_register_vcpu_info).
inline void raise_upcall(Vcpu& v) {
    vcpu_info* info = __atomic_load_n(&v.info, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&info->evtchn_upcall_pending, u8{1}, __ATOMIC_SEQ_CST) == 0) kick(v);
}

}  // namespace xylem::evtchn
