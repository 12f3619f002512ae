// SPDX-License-Identifier: MIT
#include "core/sched/scheduler.hpp"

#include <algorithm>
#include <random>

#include "arch/host/machine.hpp"
#include "arch/host/sched.hpp"
#include "core/sched/hypercalls.hpp"
#include "tests/unit/core/sched/common.hpp"

namespace xylem {
namespace {

using namespace test;
using host::World;

Nanos ran(Vcpu& v) {
    return static_cast<Nanos>(sched::runstate_snapshot(v).time[RUNSTATE_running]);
}
double share(Vcpu& v, Nanos of) {
    return static_cast<double>(ran(v)) / static_cast<double>(of);
}

TEST(Scheduler, OneHogGetsItsCpuWithoutTicks) {
    World w(1);
    Vcpu& v = w.add_vcpu(w.add_domain(), [&] { w.compute_forever(); });
    w.start(v);
    w.run_until(host::machine.now + ms);
    const u64 programs = host::machine.timer_programs;
    w.run_until(host::machine.now + second);
    EXPECT_NEAR(share(v, second + ms), 1.0, 0.001);
    EXPECT_EQ(host::machine.timer_programs, programs);
}

TEST(Scheduler, SharesByWeightOnOneCpu) {
    World w(1);
    const u32 weights[] = {256, 512, 1024, 64};
    std::vector<Vcpu*> all;
    for (u32 weight : weights) {
        all.push_back(&w.add_vcpu(w.add_domain(weight), [&] { w.compute_forever(); }));
        w.start(*all.back());
    }
    w.run_until(host::machine.now + 20 * second);
    for (u32 i = 0; i < 4; ++i) EXPECT_NEAR(share(*all[i], 20 * second), weights[i] / 1856.0, 0.01) << i;
}

TEST(Scheduler, ThreeEqualHogsShareTwoCpus) {
    World w(2);
    std::vector<Vcpu*> all;
    for (u32 i = 0; i < 3; ++i) {
        all.push_back(&w.add_vcpu(w.add_domain(), [&] { w.compute_forever(); }));
        w.start(*all.back());
    }
    w.run_until(host::machine.now + 20 * second);
    for (Vcpu* v : all) EXPECT_NEAR(share(*v, 20 * second), 2.0 / 3, 0.03);
}

TEST(Scheduler, ManyHogsShareManyCpusByWeight) {
    for (u32 seed = 1; seed <= 20; ++seed) {
        std::mt19937 random(seed);
        const u32 cpus = 2 + random() % 3;
        const u32 hogs = cpus * 2 + random() % 8;
        World w(cpus);
        std::vector<Vcpu*> all;
        std::vector<u32> weights;
        double total = 0;
        for (u32 i = 0; i < hogs; ++i) {
            const u32 weight = random() % 3 == 0 ? 384 + 256 * (seed % 3) : 256;
            weights.push_back(weight);
            total += weight;
            all.push_back(&w.add_vcpu(w.add_domain(weight), [&] { w.compute_forever(); }));
            w.start(*all.back());
        }
        w.run_until(host::machine.now + 20 * second);
        for (u32 i = 0; i < hogs; ++i) {
            const double due = cpus * weights[i] / total;
            // Who is due most of a CPU would have to be moved at every slice: such shares are met roughly.
            const double tolerance = cpus * *std::max_element(weights.begin(), weights.end()) > 0.7 * total ? 0.35 : 0.03;
            EXPECT_NEAR(share(*all[i], 20 * second), due, tolerance * due) << "seed " << seed << " vcpu " << i;
        }
    }
}

TEST(Scheduler, WakesInPlaceWithoutSwitches) {
    World w(1);
    u32 rounds = 0;
    Vcpu& v = w.add_vcpu(w.add_domain(), [&] {
        for (;;) {
            w.compute(10'000);
            w.sleep(50'000);
            ++rounds;
        }
    });
    w.start(v);
    w.run_until(host::machine.now + 10 * ms);
    const Nanos idle = sched::idle_time(CpuId(0));
    const u64 switches = w.switches;
    w.run_until(host::machine.now + second);
    EXPECT_EQ(w.switches, switches);
    EXPECT_GT(rounds, 16000u);
    EXPECT_NEAR(static_cast<double>(sched::idle_time(CpuId(0)) - idle), 1e9 * 5 / 6, 1e6);
}

TEST(Scheduler, SleeperPreemptsHogWithinRatelimit) {
    World w(1);
    Vcpu& hog = w.add_vcpu(w.add_domain(), [&] { w.compute_forever(); });
    Nanos worst = 0;
    u32 rounds = 0;
    Vcpu& sleeper = w.add_vcpu(w.add_domain(), [&] {
        for (;;) {
            const Nanos before = host::machine.now;
            w.sleep(7 * ms);
            worst = std::max(worst, host::machine.now - before - 7 * ms);
            w.compute(100'000);
            ++rounds;
        }
    });
    w.start(hog);
    w.start(sleeper);
    w.run_until(host::machine.now + 10 * second);
    EXPECT_LE(worst, 2 * ms + 11 * ms * (rounds < 10));
    EXPECT_GT(rounds, 1200u);
}

// A vCPU that has a CPU to itself has no tick: the cap must come to it.
TEST(Scheduler, CapsHoldForWhoRunsAlready) {
    World w(2);
    Domain& d = w.add_domain();
    Vcpu& v = w.add_vcpu(d, [&] { w.compute_forever(); });
    w.start(v);
    w.run_until(host::machine.now + 5 * second);
    const Nanos before = ran(v);
    ASSERT_TRUE(sched::set_params(d, 256, 30));
    w.run_until(host::machine.now + 5 * second);
    EXPECT_NEAR(static_cast<double>(ran(v) - before), 1.5e9, 0.05e9);
}

// One that sleeps on a CPU of its own never leaves it.
TEST(Scheduler, CapsHoldForWhoSleepsAlone) {
    World w(2);
    Domain& d = w.add_domain(256, 20);
    Vcpu& v = w.add_vcpu(d, [&] {
        for (;;) {
            w.compute(3 * ms / 2);
            w.sleep(ms);  // the tick at the end of its budget finds it here
        }
    });
    w.start(v);
    w.run_until(host::machine.now + 5 * second);
    EXPECT_NEAR(share(v, 5 * second), 0.2, 0.01);
}

TEST(Scheduler, CapsDoNotDelayTheEnd) {
    World w(2);
    Domain& d = w.add_domain(256, 1);
    bool done = false;
    Vcpu& v = w.add_vcpu(d, [&] {
        w.call([&] {
            const Nanos start = host::machine.now;
            while (host::machine.now < start + 2 * ms) sched::make_way();
            done = true;
        });
    });
    w.start(v);
    w.run_until(host::machine.now + 5 * ms);
    EXPECT_FALSE(done);
    sched::end(v);
    w.run_until(host::machine.now + 3 * ms);
    EXPECT_TRUE(done);
    EXPECT_TRUE(v.sched.ended);
}

TEST(Scheduler, CapsHoldForWholeDomains) {
    for (u32 cap : {10u, 50u, 150u}) {
        World w(4);
        Domain& d = w.add_domain();
        std::vector<Vcpu*> all;
        for (u32 i = 0; i < 3; ++i) {
            all.push_back(&w.add_vcpu(d, [&] { w.compute_forever(); }));
            w.start(*all.back());
        }
        ASSERT_TRUE(sched::set_params(d, 256, cap));
        w.run_until(host::machine.now + 10 * second);
        double used = 0;
        for (Vcpu* v : all) used += share(*v, 10 * second);
        EXPECT_NEAR(used, cap / 100.0, 0.03 * cap / 100.0) << cap;
        ASSERT_TRUE(sched::set_params(d, 256, 0));
        w.run_until(host::machine.now + second);
        EXPECT_TRUE(all[0]->sched.state == sched::RunState::running);
    }
}

TEST(Scheduler, AffinityIsObeyedAndChangesTakeEffect) {
    World w(3);
    Domain& d = w.add_domain();
    std::vector<Vcpu*> all;
    for (u32 i = 0; i < 6; ++i) {
        all.push_back(&w.add_vcpu(d, [&] {
            for (;;) {
                EXPECT_TRUE(port::current().sched.hard_affinity.has(port::this_cpu()));
                w.compute(3 * ms);
                w.sleep(ms);
            }
        }));
        ASSERT_TRUE(sched::set_affinity(*all[i], only({i % 3}), sched::CpuMask::all()));
        w.start(*all[i]);
    }
    w.run_until(host::machine.now + second);
    for (Vcpu* v : all) ASSERT_TRUE(sched::set_affinity(*v, only({1}), sched::CpuMask::all()));
    w.run_until(host::machine.now + 20 * ms);
    for (Vcpu* v : all) EXPECT_TRUE(!v->sched.on_cpu || v->sched.cpu == CpuId(1));
    EXPECT_FALSE(sched::set_affinity(*all[0], only({7}), sched::CpuMask::all()));
    ASSERT_TRUE(sched::set_affinity(*all[0], only({0, 2}), sched::CpuMask::all()));
    w.run_until(host::machine.now + second);
}

TEST(Scheduler, NobodyStarvesUnderRandomLoad) {
    for (u32 seed = 1; seed <= 12; ++seed) {
        std::mt19937 random(seed);
        const u32 cpus = 1 + random() % 4;
        World w(cpus);
        struct Load {
            Vcpu* v;
            Nanos seen = 0;
        };
        std::vector<Load> hogs;
        std::vector<Vcpu*> everybody;
        for (u32 i = 0; i < 12; ++i) {
            Domain& d = w.add_domain(64 + random() % 1000);
            if (i % 2 == 0) {
                hogs.push_back({&w.add_vcpu(d, [&] { w.compute_forever(); })});
                everybody.push_back(hogs.back().v);
            } else {
                everybody.push_back(&w.add_vcpu(d, [&, s = seed * 100 + i] {
                    std::mt19937 mine(s);
                    for (;;) {
                        w.compute(1 + mine() % (4 * ms));
                        if (mine() % 4 == 0) sched::yield_current();
                        w.sleep(1 + mine() % (3 * ms));
                    }
                }));
            }
            if (random() % 3 == 0)
                ASSERT_TRUE(
                    sched::set_affinity(*everybody.back(), only({static_cast<u32>(random() % cpus)}), sched::CpuMask::all()));
            w.start(*everybody.back());
        }
        for (u32 round = 0; round < 8; ++round) {
            w.run_until(host::machine.now + second);
            for (Load& h : hogs) {
                EXPECT_GT(ran(*h.v), h.seen) << "seed " << seed;
                h.seen = ran(*h.v);
            }
        }
        for (Vcpu* v : everybody) {
            const vcpu_runstate_info r = sched::runstate_snapshot(*v);
            EXPECT_EQ(r.time[0] + r.time[1] + r.time[2] + r.time[3], static_cast<u64>(8 * second));
        }
    }
}

TEST(Scheduler, PauseStopsAndUnpauseContinues) {
    World w(2);
    Domain& d = w.add_domain();
    Vcpu& hog = w.add_vcpu(d, [&] { w.compute_forever(); });
    Vcpu& sleeper = w.add_vcpu(d, [&] {
        for (;;) w.sleep(ms);
    });
    w.start(hog);
    w.start(sleeper);
    w.run_until(host::machine.now + 10 * ms);
    for (Vcpu* v : {&hog, &sleeper}) sched::pause(*v);
    sched::pause(hog);
    w.run_until(host::machine.now + ms);
    EXPECT_FALSE(hog.sched.on_cpu);
    EXPECT_FALSE(sleeper.sched.on_cpu);  // also where it idled in place
    const Nanos before = ran(hog);
    sched::unpause(hog);
    w.run_until(host::machine.now + 10 * ms);
    EXPECT_EQ(ran(hog), before);
    sched::unpause(hog);
    sched::unpause(sleeper);
    w.run_until(host::machine.now + 10 * ms);
    EXPECT_EQ(ran(hog), before + 10 * ms);
    EXPECT_EQ(sched::runstate_snapshot(hog).time[RUNSTATE_offline], static_cast<u64>(11 * ms));
}

// A wake-up at every place where it could get lost: before the halt, and while the stack is being left.
TEST(Scheduler, WakeupsAreNeverLost) {
    for (u32 mode = 0; mode < 6; ++mode) {
        World w(2);
        Domain& d = w.add_domain();
        u32 rounds = 0;
        Vcpu& v = w.add_vcpu(d, [&] {
            for (;;) {
                sched::begin_block();
                if (mode == 0) sched::wake(port::current());
                Vcpu& me = port::current();
                if (mode == 1) w.as_interrupt_on(CpuId(1), [&] { kick(me); });
                sched::block_current();
                w.compute(1000);
                ++rounds;
            }
        });
        ASSERT_TRUE(sched::set_affinity(v, only({0}), sched::CpuMask::all()));
        Vcpu& other = w.add_vcpu(d, [&] { w.compute_forever(); });
        if (mode >= 4) {
            ASSERT_TRUE(sched::set_affinity(other, only({0}), sched::CpuMask::all()));
            w.start(other);
        }
        if (mode == 2)  // an interrupt of this CPU ends the halt
            w.before_halt = [&] {
                if (&port::current() != &v) return;
                sched::wake(v);
                host::machine.event_check[port::this_cpu().raw] = true;
            };
        if (mode == 3) w.before_halt = [&] { w.as_interrupt_on(CpuId(1 - port::this_cpu().raw), [&] { sched::wake(v); }); };
        if (mode == 4)
            w.while_switching = [&](Vcpu& from) {
                if (&from == &v) sched::wake(v);
            };
        if (mode == 5)
            w.while_switching = [&](Vcpu& from) {
                if (&from == &v) w.as_interrupt_on(CpuId(1), [&] { kick(v); });
            };
        w.start(v);
        w.run_until(host::machine.now + second / 5);
        EXPECT_GT(rounds, 20u) << mode;
    }
}

TEST(Scheduler, LeavingVcpuIsNotTakenByAnIdleCpu) {
    World w(2);
    Domain& d = w.add_domain();
    u32 rounds = 0;
    Vcpu& v = w.add_vcpu(d, [&] {
        for (;;) {
            sched::begin_block();
            sched::block_current();
            w.compute(1000);
            ++rounds;
        }
    });
    Vcpu& hog = w.add_vcpu(d, [&] { w.compute_forever(); });
    ASSERT_TRUE(sched::set_affinity(hog, only({0}), sched::CpuMask::all()));
    ASSERT_TRUE(sched::set_affinity(v, only({0}), sched::CpuMask::all()));
    w.while_switching = [&](Vcpu& from) {
        if (&from != &v || v.sched.cpu == CpuId(1)) return;
        (void)sched::set_affinity(v, only({1}), sched::CpuMask::all());
        w.as_interrupt_on(CpuId(1), [&] { sched::wake(v); });
        EXPECT_EQ(v.sched.cpu, CpuId(0));
    };
    w.start(hog);
    w.start(v);
    w.run_until(host::machine.now + second);
    EXPECT_EQ(v.sched.cpu, CpuId(1));
    EXPECT_GE(rounds, 1u);
}

TEST(Scheduler, ParametersAreChecked) {
    World w(1);
    Domain& d = w.add_domain();
    EXPECT_FALSE(sched::set_params(d, 0, 0));
    EXPECT_FALSE(sched::set_params(d, 65536, 0));
    EXPECT_TRUE(sched::set_params(d, 65535, 0));
    EXPECT_EQ(sched::get_params(d).weight, 65535u);
}

TEST(Scheduler, DumpShowsWhoRuns) {
    World w(1);
    Vcpu& v = w.add_vcpu(w.add_domain(), [&] { w.compute_forever(); });
    w.start(v);
    w.run_until(host::machine.now + ms);
    text::FixedText<2000> out;
    sched::dump(out);
    timers_dump(out);
    EXPECT_NE(out.view().find("on d1v0 running"), std::string_view::npos) << out.view();
}

TEST(SchedOp, BlockReturnsAtOnceWithAnEventAndUnmasks) {
    World w(1);
    Domain& d = w.add_domain();
    u32 done = 0;
    Vcpu& v = w.add_vcpu(d, [&] {
        vcpu_info& i = *port::current().info;
        i.evtchn_upcall_mask = 1;
        i.evtchn_upcall_pending = 1;
        EXPECT_EQ(sched_op(port::current(), SCHEDOP_block, 0), 0);
        EXPECT_EQ(i.evtchn_upcall_mask, 0);
        done = 1;
        i.evtchn_upcall_pending = 0;
        EXPECT_EQ(sched_op(port::current(), SCHEDOP_block, 0), 0);
        done = 2;
    });
    w.start(v);
    w.run_until(host::machine.now + ms);
    EXPECT_EQ(done, 1u);
    kick(v);
    w.run_until(host::machine.now + ms);
    EXPECT_EQ(done, 2u);
}

TEST(SchedOp, PollEndsByTimeoutOrPort) {
    World w(1);
    Domain& d = w.add_domain();
    u32 done = 0;
    Nanos woke = 0;
    Vcpu& v = w.add_vcpu(d, [&] {
        Vcpu& me = port::current();
        sched_poll op{};
        op.timeout = static_cast<u64>(port::now() + 3 * ms);
        EXPECT_EQ(sched_op(me, SCHEDOP_poll, reinterpret_cast<u64>(&op)), 0);
        woke = port::now();
        done = 1;
        op.timeout = 0;
        EXPECT_EQ(sched_op(me, SCHEDOP_poll, reinterpret_cast<u64>(&op)), 0);
        done = 2;
        op.nr_ports = 129;
        EXPECT_EQ(sched_op(me, SCHEDOP_poll, reinterpret_cast<u64>(&op)), to_hypercall_result(XEN_EINVAL));
        evtchn_port_t nobodys = 9;
        op.nr_ports = 1;
        op.ports.p = &nobodys;
        EXPECT_EQ(sched_op(me, SCHEDOP_poll, reinterpret_cast<u64>(&op)), to_hypercall_result(XEN_EINVAL));
        EXPECT_EQ(sched_op(me, SCHEDOP_poll, host::bad_guest_address), to_hypercall_result(XEN_EFAULT));
        done = 3;
    });
    init_vcpu_timers(v);
    const Nanos start = host::machine.now;
    w.start(v);
    w.run_until(start + 10 * ms);
    EXPECT_EQ(woke, start + 3 * ms);
    EXPECT_EQ(done, 1u);
    EXPECT_EQ(d.sched.polling, 1u);
    sched::wake_pollers(d, Port(5));
    w.run_until(host::machine.now + ms);
    EXPECT_EQ(done, 3u);
    EXPECT_EQ(d.sched.polling, 0u);
}

TEST(SchedOp, ShutdownStopsTheDomainUntilResumed) {
    World w(1);
    Domain& d = w.add_domain();
    bool back = false;
    Vcpu& v = w.add_vcpu(d, [&] {
        sched_shutdown op{SHUTDOWN_suspend};
        EXPECT_EQ(sched_op(port::current(), SCHEDOP_shutdown, reinterpret_cast<u64>(&op)), 0);
        w.compute(1);
        back = true;
    });
    w.start(v);
    w.run_until(host::machine.now + 10 * ms);
    EXPECT_TRUE(d.shut_down);
    EXPECT_EQ(d.shutdown_code.load(), u32{SHUTDOWN_suspend});
    EXPECT_FALSE(v.sched.on_cpu);
    (void)back;
    resume_domain(d);
    w.run_until(host::machine.now + 10 * ms);
    EXPECT_TRUE(back);
}

TEST(SchedOp, ShutdownForTheReasonToldBefore) {
    World w(1);
    Domain& d = w.add_domain();
    EXPECT_EQ(d.shutdown_code.load(), Domain::no_shutdown_code);
    Vcpu& v = w.add_vcpu(d, [&] {
        sched_shutdown op{SHUTDOWN_MAX + 1};
        EXPECT_EQ(sched_op(port::current(), SCHEDOP_shutdown_code, reinterpret_cast<u64>(&op)), to_hypercall_result(XEN_EINVAL));
        op.reason = SHUTDOWN_crash;
        EXPECT_EQ(sched_op(port::current(), SCHEDOP_shutdown_code, reinterpret_cast<u64>(&op)), 0);
        EXPECT_FALSE(d.shutting_down);
        op.reason = SHUTDOWN_poweroff;
        EXPECT_EQ(sched_op(port::current(), SCHEDOP_shutdown, reinterpret_cast<u64>(&op)), 0);
        w.compute(1);
    });
    w.start(v);
    w.run_until(host::machine.now + 10 * ms);
    EXPECT_TRUE(d.shut_down);
    EXPECT_EQ(d.shutdown_code.load(), u32{SHUTDOWN_crash});
    resume_domain(d);
    EXPECT_EQ(d.shutdown_code.load(), Domain::no_shutdown_code);
    w.run_until(host::machine.now + 10 * ms);
}

TEST(SchedOp, WatchdogShutsTheDomainDown) {
    World w(1);
    Domain& d = w.add_domain();
    Vcpu& v = w.add_vcpu(d, [&] {
        Vcpu& me = port::current();
        auto call = [&](u32 id, u32 timeout) {
            sched_watchdog op{id, timeout};
            return sched_op(me, SCHEDOP_watchdog, reinterpret_cast<u64>(&op));
        };
        EXPECT_EQ(call(3, 1), to_hypercall_result(XEN_EINVAL));
        EXPECT_EQ(call(1, 1), to_hypercall_result(XEN_EINVAL));
        EXPECT_EQ(call(0, 1), 1);
        EXPECT_EQ(call(0, 2), 2);
        EXPECT_EQ(call(0, 2), to_hypercall_result(XEN_ENOSPC));
        EXPECT_EQ(call(1, 0), 0);
        w.compute_forever();
    });
    w.start(v);
    const Nanos start = host::machine.now;
    w.run_until(start + 1900 * ms);
    EXPECT_FALSE(d.shut_down);
    w.run_until(start + 2100 * ms);
    EXPECT_TRUE(d.shut_down);
    EXPECT_EQ(d.shutdown_code.load(), u32{SHUTDOWN_watchdog});
}

}  // namespace
}  // namespace xylem
