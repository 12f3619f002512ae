// SPDX-License-Identifier: MIT
#include "arch/x86/time/guest_time.hpp"

#include <atomic>

#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/features.hpp"
#include "arch/x86/time/wall_clock.hpp"
#include "base/sync/spinlock.hpp"
#include "core/domain/domain.hpp"
#include "core/domain/domain_list.hpp"
#include "core/port/guest.hpp"
#include "core/port/sched.hpp"

namespace xylem {
namespace {

constinit Spinlock wall_lock;
constinit u64 wall_base XYLEM_GUARDED_BY(wall_lock) = 0;

// The readers' protocol: an odd version means "being written".
void write_time(volatile vcpu_time_info& to, const time::Stamp& s) {
    const u32 version = (to.version + 1) | 1;
    to.version = version;
    std::atomic_thread_fence(std::memory_order_release);
    to.tsc_timestamp = s.tsc;
    to.system_time = static_cast<u64>(s.system);
    to.tsc_to_system_mul = s.scale.mul;
    to.tsc_shift = s.scale.shift;
    to.flags = time::tsc_is_stable() ? XEN_PVCLOCK_TSC_STABLE_BIT : 0;
    std::atomic_thread_fence(std::memory_order_release);
    to.version = version + 1;
}

}  // namespace

cpu::CpuidRegs guest_time_leaf(const GuestTsc& tsc, u32 subleaf) {
    constexpr u32 is_emulated = 1, is_safe = 2, knows_rdtscp = 4;
    const time::Stamp s = tsc.seen(time::stamp());
    const u64 khz = time::tsc_hertz() / 1000;
    switch (subleaf) {
        case 0: {
            const u32 kind = (time::tsc_is_stable() ? is_safe : 0) | (tsc.emulated ? is_emulated : 0) |
                             (features().has_rdtscp ? knows_rdtscp : 0);
            return {kind, tsc.mode, tsc.emulated ? tsc.khz : static_cast<u32>(khz), tsc.incarnation};
        }
        case 1: {
            const u64 offset = s.tsc;
            return {static_cast<u32>(offset), static_cast<u32>(offset >> 32), s.scale.mul, static_cast<u32>(i32{s.scale.shift})};
        }
        case 2: return {static_cast<u32>(khz), 0, 0, 0};
        default: return {};
    }
}

u64 wall_clock_base() {
    Guard g(wall_lock);
    return wall_base;
}

void publish_wall_clock(Domain& d) {
    volatile shared_info& s = *d.shared;
    Guard g(wall_lock);
    const u32 version = (s.wc_version + 1) | 1;
    s.wc_version = version;
    std::atomic_thread_fence(std::memory_order_release);
    const u64 seconds = wall_base / 1'000'000'000 + static_cast<u64>(d.time_offset_seconds.load());
    s.wc_sec = static_cast<u32>(seconds);
    s.wc_sec_hi = static_cast<u32>(seconds >> 32);
    s.wc_nsec = static_cast<u32>(wall_base % 1'000'000'000);
    std::atomic_thread_fence(std::memory_order_release);
    s.wc_version = version + 1;
}

void set_wall_clock(u64 seconds, u32 nanoseconds, Nanos system_time) {
    {
        Guard g(wall_lock);
        wall_base = seconds * 1'000'000'000 + nanoseconds - static_cast<u64>(system_time);
    }
    for_each_domain([](Domain& d) {
        if (d.shared != nullptr) publish_wall_clock(d);
    });
}

namespace port {

Nanos now() {
    return time::now();
}
void program_timer(Nanos deadline) {
    time::arm_timer(deadline);
}

void update_vcpu_time(Vcpu& v) {
    write_time(v.info->time, v.domain.arch->tsc.seen(time::stamp()));
}

void publish_vcpu_time(Vcpu& v) {
    const GuestPtr<vcpu_time_info> area(v.time_guest_va.load(std::memory_order_relaxed));
    vcpu_time_info copy = v.info->time;
    copy.version |= 1;
    if (!area.write(copy)) return;
    std::atomic_thread_fence(std::memory_order_release);
    (void)field(area, &vcpu_time_info::version).write(copy.version + 1);
}

}  // namespace port
}  // namespace xylem
