// SPDX-License-Identifier: MIT
// A vCPU's times per state, as its guest reads them in memory of its own.
#include "core/port/guest.hpp"
#include "core/sched/scheduler.hpp"

namespace xylem {

void publish_runstate(Vcpu& v) {
    const u64 area = v.runstate_guest_va.load(std::memory_order_relaxed);
    if (area != 0) {
        const GuestPtr<vcpu_runstate_info> to(area);
        // The current vCPU runs: nobody else changes its account.
        vcpu_runstate_info info = v.sched.runstate;
        if (port::runstate_update_flag(v.domain)) {
            // The guest reads again while the flag is set or has changed: flag first, contents, then the time without it.
            const u64 entered = info.state_entry_time;
            info.state_entry_time |= XEN_RUNSTATE_UPDATE;
            const auto time = field(to, &vcpu_runstate_info::state_entry_time);
            if (time.write(info.state_entry_time)) {
                std::atomic_thread_fence(std::memory_order_release);
                if (to.write(info)) {
                    std::atomic_thread_fence(std::memory_order_release);
                    (void)time.write(entered);
                }
            }
        } else {
            (void)to.write(info);
        }
    }
    if (v.time_guest_va.load(std::memory_order_relaxed) != 0) port::publish_vcpu_time(v);
}

}  // namespace xylem
