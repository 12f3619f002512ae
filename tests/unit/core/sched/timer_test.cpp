// SPDX-License-Identifier: MIT
#include "core/sched/timer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "arch/host/machine.hpp"
#include "core/port/sched.hpp"

namespace xylem {
namespace {

struct Probe {
    Timer timer;
    std::vector<Nanos>* fired = nullptr;
    Nanos due = never;
};

void fire(void* context) {
    Probe& p = *static_cast<Probe*>(context);
    EXPECT_NE(p.due, never);
    EXPECT_LE(p.due, port::now());
    p.fired->push_back(p.due);
    p.due = never;
}

class Timers : public testing::Test {
   protected:
    void SetUp() override {
        const Nanos now = host::machine.now;
        host::machine = host::Machine{};
        host::machine.now = now;
        host::machine.cpus = 2;
        for (u32 i = 0; i < 2; ++i) port::cpu_work(CpuId(i)).flags = 0;
        for (u32 i = 2; i-- > 0;) {
            host::machine.cpu = CpuId(i);
            timers_run();
        }
    }
};

TEST_F(Timers, FireInOrderUnderRandomUse) {
    for (u32 seed = 1; seed <= 20; ++seed) {
        std::mt19937 random(seed);
        std::vector<Nanos> fired;
        std::vector<Probe> probes(100);
        for (Probe& p : probes) {
            p.timer.handler = fire;
            p.timer.context = &p;
            p.fired = &fired;
        }
        usize expected = 0;
        for (u32 step = 0; step < 5000; ++step) {
            Probe& p = probes[random() % probes.size()];
            switch (random() % 8) {
                case 0:
                    timer_cancel(p.timer);
                    p.due = never;
                    break;
                case 1: {
                    host::machine.now += static_cast<Nanos>(random() % 1000);
                    fired.clear();
                    expected = static_cast<usize>(
                        std::count_if(probes.begin(), probes.end(), [](Probe& q) { return q.due <= host::machine.now; }));
                    timers_run();
                    EXPECT_EQ(fired.size(), expected);
                    EXPECT_TRUE(std::is_sorted(fired.begin(), fired.end()));
                    break;
                }
                default:
                    p.due = host::machine.now + static_cast<Nanos>(random() % 3000);
                    if (random() % 4 == 0) {  // away, and back here
                        host::machine.cpu = CpuId(1);
                        timer_set_here(p.timer, p.due + 1);
                        host::machine.cpu = CpuId(0);
                        timer_set_here(p.timer, p.due);
                    }
                    timer_set(p.timer, p.due);
                    break;
            }
            Nanos earliest = never;
            for (Probe& q : probes) earliest = std::min(earliest, q.due);
            EXPECT_LE(host::machine.timer[0], earliest);
        }
        for (Probe& p : probes) timer_cancel(p.timer);
    }
}

TEST_F(Timers, HardwareIsToldOnlyOfEarlierDeadlines) {
    Timer a, b;
    a.handler = b.handler = [](void*) {};
    const Nanos now = host::machine.now;
    timer_set(a, now + 100);
    const u64 programs = host::machine.timer_programs;
    timer_set(b, now + 200);
    timer_set(b, now + 300);
    timer_set(a, now + 150);
    EXPECT_EQ(host::machine.timer_programs, programs);
    timer_set(b, now + 50);
    EXPECT_EQ(host::machine.timer_programs, programs + 1);
    timer_cancel(a);
    timer_cancel(b);
}

TEST_F(Timers, RemoteCpuIsToldByInterrupt) {
    Timer t;
    t.handler = [](void*) {};
    t.cpu = CpuId(1);
    timer_set(t, host::machine.now + 100);
    EXPECT_TRUE(host::machine.event_check[1]);
    EXPECT_EQ(port::cpu_work(CpuId(1)).flags, CpuWork::timers);
    host::machine.cpu = CpuId(1);
    timers_reprogram();
    EXPECT_EQ(host::machine.timer[1], host::machine.now + 100);
    timer_cancel(t);
    host::machine.cpu = CpuId(0);
}

TEST_F(Timers, HandlersThatSetPastDeadlinesDoNotSpin) {
    static int runs;
    runs = 0;
    static Timer t;
    t.handler = [](void*) {
        ++runs;
        timer_set(t, 0);
        if (runs == 3) timer_cancel(t);
    };
    timer_set(t, host::machine.now);
    timers_run();
    EXPECT_GE(runs, 1);
    EXPECT_LE(runs, 3);
    timer_cancel(t);
}

}  // namespace
}  // namespace xylem
