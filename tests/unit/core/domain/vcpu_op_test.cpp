// SPDX-License-Identifier: MIT
#include "arch/host/machine.hpp"
#include "arch/host/memory.hpp"
#include "arch/host/sched.hpp"
#include "core/sched/hypercalls.hpp"
#include "core/sched/scheduler.hpp"
#include "tests/unit/core/sched/common.hpp"

namespace xylem {
namespace {

using host::World;
using test::ms;
constexpr long einval = -static_cast<long>(XEN_EINVAL);

template <class T>
u64 at(T& t) {
    return reinterpret_cast<u64>(&t);
}

// Runs `guest` as vCPU 0 of a domain with two vCPUs.
template <class F>
void as_guest(F&& guest) {
    World w(2);
    Domain& d = w.add_domain();
    d.max_vcpus = 2;
    bool done = false;
    Vcpu& v = w.add_vcpu(d, [&] {
        guest(w, port::current());
        done = true;
    });
    Vcpu& other = w.add_vcpu(d, [&] { w.compute_forever(); });
    init_vcpu_timers(v);
    init_vcpu_timers(other);
    w.start(v);
    w.run_until(host::machine.now + 100 * ms);
    EXPECT_TRUE(done);
}

TEST(VcpuOp, IsUpAnswersForAnyNumber) {
    as_guest([](World& w, Vcpu& v) {
        EXPECT_EQ(vcpu_op(v, VCPUOP_is_up, 0, 0), 1);
        EXPECT_EQ(vcpu_op(v, VCPUOP_is_up, 1, 0), 0);
        for (u64 id : {u64{2}, u64{8191}, ~u64{0}}) EXPECT_EQ(vcpu_op(v, VCPUOP_is_up, id, 0), to_hypercall_result(XEN_ENOENT));
        EXPECT_EQ(vcpu_op(v, VCPUOP_up, 1, 0), 0);
        EXPECT_EQ(vcpu_op(v, VCPUOP_is_up, 1, 0), 1);
        w.compute(ms);
        EXPECT_EQ(v.domain.vcpus[1]->sched.state, sched::RunState::running);
        EXPECT_EQ(vcpu_op(v, VCPUOP_down, 1, 0), 0);
        w.compute(ms);
        EXPECT_FALSE(v.domain.vcpus[1]->sched.on_cpu);
        EXPECT_EQ(vcpu_op(v, 99, 0, 0), to_hypercall_result(XEN_ENOSYS));
        host::start_memory();  // the heap
        static vcpu_guest_context context{};
        EXPECT_EQ(vcpu_op(v, VCPUOP_initialise, 1, reinterpret_cast<u64>(&context)), to_hypercall_result(XEN_EEXIST));
    });
}

TEST(VcpuOp, LastVcpuDownIsPoweroff) {
    as_guest([](World&, Vcpu& v) {
        EXPECT_EQ(vcpu_op(v, VCPUOP_down, 0, 0), 0);
        EXPECT_TRUE(v.domain.shutting_down);
        EXPECT_EQ(v.domain.shutdown_code.load(), u32{SHUTDOWN_poweroff});
    });
}

TEST(VcpuOp, SingleshotTimer) {
    as_guest([](World&, Vcpu& v) {
        vcpu_set_singleshot_timer op{static_cast<u64>(port::now() + 5 * ms), 0};
        EXPECT_EQ(vcpu_op(v, VCPUOP_set_singleshot_timer, 0, at(op)), 0);
        EXPECT_TRUE(v.singleshot.armed);
        EXPECT_EQ(v.singleshot.deadline, static_cast<Nanos>(op.timeout_abs_ns));
        EXPECT_EQ(vcpu_op(v, VCPUOP_set_singleshot_timer, 1, at(op)), einval);
        EXPECT_EQ(vcpu_op(v, VCPUOP_stop_singleshot_timer, 0, 0), 0);
        EXPECT_FALSE(v.singleshot.armed);
        op = {0, VCPU_SSHOTTMR_future};
        host::machine.now += 1;
        EXPECT_EQ(vcpu_op(v, VCPUOP_set_singleshot_timer, 0, at(op)), to_hypercall_result(XEN_ETIME));
        op.timeout_abs_ns = ~u64{0};
        EXPECT_EQ(vcpu_op(v, VCPUOP_set_singleshot_timer, 0, at(op)), 0);
        EXPECT_EQ(vcpu_op(v, VCPUOP_set_singleshot_timer, 0, host::bad_guest_address), to_hypercall_result(XEN_EFAULT));
        EXPECT_EQ(set_timer_op(v, static_cast<u64>(port::now() + ms)), 0);
        EXPECT_TRUE(v.singleshot.armed);
        EXPECT_EQ(set_timer_op(v, 0), 0);
        EXPECT_FALSE(v.singleshot.armed);
        EXPECT_EQ(set_timer_op(v, (u64{1} << 63) + 1), 0);
        EXPECT_EQ(v.singleshot.deadline, port::now() + 100 * ms);
    });
}

TEST(VcpuOp, PeriodicTimerHasLimits) {
    as_guest([](World&, Vcpu& v) {
        vcpu_set_periodic_timer op{999'999};
        EXPECT_EQ(vcpu_op(v, VCPUOP_set_periodic_timer, 0, at(op)), einval);
        op.period_ns = ~u64{0};
        EXPECT_EQ(vcpu_op(v, VCPUOP_set_periodic_timer, 0, at(op)), einval);
        op.period_ns = 2 * ms;
        EXPECT_EQ(vcpu_op(v, VCPUOP_set_periodic_timer, 1, at(op)), 0);
        EXPECT_TRUE(v.domain.vcpus[1]->periodic.armed);
        EXPECT_EQ(vcpu_op(v, VCPUOP_stop_periodic_timer, 1, 0), 0);
        EXPECT_FALSE(v.domain.vcpus[1]->periodic.armed);
    });
}

TEST(VcpuOp, VcpuInfoStaysInsideItsPage) {
    as_guest([](World&, Vcpu& v) {
        vcpu_register_vcpu_info op{.mfn = 5, .offset = 4096 - 63, .rsvd = 0};
        EXPECT_EQ(vcpu_op(v, VCPUOP_register_vcpu_info, 0, at(op)), to_hypercall_result(XEN_ENXIO));
        op.offset = 4;
        EXPECT_EQ(vcpu_op(v, VCPUOP_register_vcpu_info, 0, at(op)), to_hypercall_result(XEN_ENXIO));
        op.offset = ~0u;
        EXPECT_EQ(vcpu_op(v, VCPUOP_register_vcpu_info, 0, at(op)), to_hypercall_result(XEN_ENXIO));
    });
}

TEST(VcpuOp, RunstateAreaFollowsTheVcpu) {
    for (bool flag : {false, true}) {
        host::runstate_flag = flag;
        as_guest([](World& w, Vcpu& v) {
            vcpu_runstate_info area{};
            vcpu_register_runstate_memory_area op{};
            op.addr.p = at(area);
            EXPECT_EQ(vcpu_op(v, VCPUOP_register_runstate_memory_area, 0, at(op)), 0);
            EXPECT_EQ(area.state, RUNSTATE_running);
            v.pending_work = 0;
            w.compute(3 * ms);
            EXPECT_EQ(v.pending_work, 0u);
            w.sleep(7 * ms);
            EXPECT_EQ(v.pending_work, work::update_runstate);
            publish_runstate(v);
            EXPECT_EQ(area.time[RUNSTATE_running], static_cast<u64>(3 * ms));
            EXPECT_EQ(area.time[RUNSTATE_blocked], static_cast<u64>(7 * ms));
            EXPECT_EQ(area.state_entry_time, static_cast<u64>(port::now()));
            vcpu_runstate_info got{};
            w.compute(ms);
            EXPECT_EQ(vcpu_op(v, VCPUOP_get_runstate_info, 0, at(got)), 0);
            EXPECT_EQ(got.time[RUNSTATE_running], static_cast<u64>(4 * ms));
            op.addr.p = host::bad_guest_address;  // unmapped: no error
            EXPECT_EQ(vcpu_op(v, VCPUOP_register_runstate_memory_area, 0, at(op)), 0);
            v.runstate_guest_va = 0;
        });
    }
    host::runstate_flag = false;
}

TEST(VcpuOp, NmiIsPendingWorkAndWakes) {
    as_guest([](World&, Vcpu& v) {
        EXPECT_EQ(vcpu_op(v, VCPUOP_send_nmi, 0, 0), 0);
        EXPECT_EQ(v.pending_work, work::nmi);
        EXPECT_EQ(sched_op(v, SCHEDOP_block, 0), 0);  // returns: there is something to do
        v.pending_work = 0;
    });
}

}  // namespace
}  // namespace xylem
