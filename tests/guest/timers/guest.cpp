// SPDX-License-Identifier: MIT
// Time and timers: never early, never lost; run states that add up [ABI 6].
#include "guest/kit/calls.hpp"
#include "guest/kit/cpu.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/events.hpp"
#include "guest/lib/story.hpp"
#include "guest/lib/time.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

constexpr Nanos ms = 1'000'000;
unsigned fired;
Nanos fired_at;

long single_shot(Nanos at, u32 flags = 0) {
    vcpu_set_singleshot_timer_t r{.timeout_abs_ns = static_cast<u64>(at), .flags = flags};
    return vcpu_op(VCPUOP_set_singleshot_timer, 0, &r);
}
// Blocks until the timer has fired that often; the guest hangs if it never does, and the run notices.
void wait_for_fires(unsigned count) {
    while (fired < count) {
        mask_events();
        if (fired < count) block();
        unmask_events();
    }
}
// What the argument starts ends with one firing more.
template <class Start>
void until_fired(Start&& begin) {
    const unsigned before = fired;
    begin();
    wait_for_fires(before + 1);
}

void system_clock() {
    Nanos last = time::now();
    unsigned backwards = 0;
    for (int i = 0; i < 20000; ++i) {
        const Nanos n = time::now();
        if (n < last) ++backwards;
        last = n;
    }
    story::equal("clock/steps back", backwards, 0);
    const vcpu_time_info_t& t = this_cpu().info->time;
    story::equal("clock/version is even", t.version & 1, 0);
    story::is("clock/scale is set", t.tsc_to_system_mul != 0);
    story::equal("clock/flags", t.flags & ~u8{1}, 0);
    story::is("clock/wall time is set", shared().wc_sec > 1500000000);
    const u32 wall_version = shared().wc_version;
    xen_platform_op_t op{};
    op.cmd = XENPF_settime64;
    op.u.settime64.secs = 1700000000;
    op.u.settime64.nsecs = 5;
    op.u.settime64.system_time = static_cast<u64>(time::now());
    story::succeeds("clock/settime64", platform_op(op));
    story::is("clock/wall time changed", shared().wc_version != wall_version && (shared().wc_version & 1) == 0);
    story::is("clock/wall time is the set one less the system time",
              shared().wc_sec > 1699990000 && shared().wc_sec <= 1700000000);
}

void single() {
    for (const Nanos delay : {ms / 10, ms, 10 * ms, 50 * ms}) {
        const Nanos deadline = time::now() + delay;
        text::FixedText<40> name;
        text::format(name, "single/{} us", delay / 1000);
        until_fired([&] { story::succeeds(name.view(), single_shot(deadline)); });
        name.write(", not early");
        story::is(name.view(), fired_at >= deadline);
    }
    until_fired([] { story::succeeds("single/in the past", single_shot(time::now() - 5 * ms)); });
    until_fired([] { story::succeeds("single/at 1", single_shot(1)); });
    story::show("single/in the past with the flag", single_shot(time::now() - ms, VCPU_SSHOTTMR_future));
    // Far enough that the machine's load does not make it the past.
    until_fired(
        [] { story::succeeds("single/in the future with the flag", single_shot(time::now() + 200 * ms, VCPU_SSHOTTMR_future)); });
    unsigned before = fired;
    single_shot(time::now() + 200 * ms);
    vcpu_op(VCPUOP_stop_singleshot_timer, 0);
    const Nanos end = time::now() + 250 * ms;
    while (time::now() < end) relax();
    story::equal("single/stopped", fired - before, 0);
    // The later one replaces the earlier one.
    before = fired;
    const Nanos later = time::now() + 300 * ms;
    single_shot(time::now() + 250 * ms);
    single_shot(later);
    wait_for_fires(before + 1);
    while (time::now() < later) relax();
    story::is("single/replaced", fired - before == 1 && fired_at >= later);
    before = fired;
    const Nanos deadline = time::now() + 10 * ms;
    until_fired([=] { story::succeeds("set_timer_op", set_timer_op(static_cast<u64>(deadline))); });
    story::is("set_timer_op/not early", fired_at >= deadline);
    const Nanos start = time::now();
    until_fired([] { story::succeeds("set_timer_op/negative", set_timer_op(~u64{0} - 5)); });
    story::is("set_timer_op/negative is not at once", fired_at >= start + 90 * ms);
    // A busy guest is interrupted.
    before = fired;
    single_shot(time::now() + 5 * ms);
    while (*const_cast<volatile unsigned*>(&fired) == before) relax();
    story::equal("single/interrupts a loop", fired - before, 1);
}

void periodic() {
    vcpu_set_periodic_timer_t p{.period_ns = 10 * ms};
    const unsigned before = fired;
    const Nanos start = time::now();
    story::succeeds("periodic/10 ms", vcpu_op(VCPUOP_set_periodic_timer, 0, &p));
    while (*const_cast<volatile unsigned*>(&fired) - before < 5) relax();
    const Nanos took = time::now() - start;
    story::is("periodic/five take at least four periods", took >= 40 * ms);
    story::remark("five periods of 10 ms took {} us", took / 1000);
    // A vCPU that sleeps: does its periodic timer wake it, or only the other one?
    const Nanos deadline = time::now() + 500 * ms;
    until_fired([=] { single_shot(deadline); });
    story::show("periodic/wakes a vCPU that blocks", time::now() < deadline ? 1 : 0);
    while (time::now() < deadline) relax();
    story::succeeds("periodic/stop", vcpu_op(VCPUOP_stop_periodic_timer, 0));
    const unsigned stopped = fired;
    const Nanos end = time::now() + 50 * ms;
    while (time::now() < end) relax();
    story::is("periodic/silent after at most one", fired - stopped <= 1);
}

void polling() {
    sched_poll_t poll{};
    const Nanos deadline = time::now() + 10 * ms;
    poll.timeout = static_cast<u64>(deadline);
    mask_events();
    story::succeeds("poll/until a moment", sched_op(SCHEDOP_poll, &poll));
    story::is("poll/not early", time::now() >= deadline);
    unmask_events();
}

void run_states() {
    static vcpu_runstate_info_t state;
    vcpu_register_runstate_memory_area_t area{};
    area.addr.p = word(&state);
    story::succeeds("runstate/register", vcpu_op(VCPUOP_register_runstate_memory_area, 0, &area));
    const u64 blocked = state.time[RUNSTATE_blocked];
    until_fired([] { single_shot(time::now() + 20 * ms); });
    const volatile vcpu_runstate_info_t& seen = state;
    story::equal("runstate/running", seen.state, RUNSTATE_running);
    story::is("runstate/was blocked for at least 15 ms", seen.time[RUNSTATE_blocked] - blocked >= 15 * ms);
    vcpu_runstate_info_t now{};
    vcpu_op(VCPUOP_get_runstate_info, 0, &now);
    const u64 sum = now.time[0] + now.time[1] + now.time[2] + now.time[3];
    story::is("runstate/times add up to no more than the uptime", sum <= static_cast<u64>(time::now()));
}

}  // namespace

void kit::guest_main() {
    events::start();
    const auto port = events::bind_virq(VIRQ_TIMER, 0, [](u32, void*) {
        ++fired;
        fired_at = time::now();
    });
    if (!port) story::error("no timer virq");
    unmask_events();
    // Every vCPU starts with a periodic timer of 100 Hz; without one the guest hangs here.
    const unsigned before = fired;
    while (*const_cast<volatile unsigned*>(&fired) - before < 3) relax();
    story::is("start/the periodic timer runs", true);
    story::succeeds("start/stop it", vcpu_op(VCPUOP_stop_periodic_timer, 0));
    system_clock();
    single();
    periodic();
    polling();
    run_states();
    mask_events();
    story::end();
}
