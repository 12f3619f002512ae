// SPDX-License-Identifier: MIT
#include "guest/lib/time.hpp"

#include "base/panic.hpp"
#include "guest/kit/calls.hpp"
#include "guest/kit/cpu.hpp"
#include "guest/lib/events.hpp"

namespace xylem::time {

Nanos now() {
    const volatile vcpu_time_info_t& t = kit::this_cpu().info->time;
    while (true) {
        const u32 version = t.version;
        kit::compiler_barrier();
        const u64 ticks = kit::tsc() - t.tsc_timestamp;
        const i8 shift = t.tsc_shift;
        const u64 shifted = shift >= 0 ? ticks << shift : ticks >> -shift;
        const auto scaled = static_cast<u64>(static_cast<unsigned __int128>(shifted) * t.tsc_to_system_mul >> 32);
        const u64 result = t.system_time + scaled;
        kit::compiler_barrier();
        if ((version & 1) == 0 && t.version == version) return static_cast<Nanos>(result);
    }
}

void start() {
    const auto port = events::bind_virq(VIRQ_TIMER, kit::this_cpu().id, [](u32, void*) {});
    if (!port) panic("bind_virq of the timer: error {}", port.error());
    kit::vcpu_op(VCPUOP_stop_periodic_timer, kit::this_cpu().id);
}

void sleep_until(Nanos moment) {
    const kit::EventsMasked guard;
    while (now() < moment) {
        vcpu_set_singleshot_timer_t request{.timeout_abs_ns = static_cast<u64>(moment), .flags = 0};
        kit::vcpu_op(VCPUOP_set_singleshot_timer, kit::this_cpu().id, &request);
        kit::block();
        kit::mask_events();
    }
}

}  // namespace xylem::time
