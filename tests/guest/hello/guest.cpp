// SPDX-License-Identifier: MIT
// The smallest guest: it says hello, and how long it took to get there, and the domain ends.
#include "guest/kit/calls.hpp"
#include "guest/kit/console.hpp"
#include "guest/kit/start.hpp"

void xylem::kit::guest_main() {
    print("= hello: I am a {} of {} MiB", is_dom0() ? "dom0" : "domU", boot_info().nr_pages >> 8);
    vcpu_runstate_info_t state{};
    vcpu_op(VCPUOP_get_runstate_info, 0, &state);
    const u64 alive = state.time[RUNSTATE_running] + state.time[RUNSTATE_runnable] + state.time[RUNSTATE_blocked];
    print("~ first line {} us after the start, {} us of them running", alive / 1000, state.time[RUNSTATE_running] / 1000);
    print("verdict: SUCCESS");
}
