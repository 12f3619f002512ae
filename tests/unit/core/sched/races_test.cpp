// SPDX-License-Identifier: MIT
// vCPUs that compute, sleep and make long hypercalls, while others stop them, let them go, move them and shut their domain down:
// all at once, interleaved at the entries of the scheduler's functions, in as many ways as there are seeds.
#include <array>
#include <random>

#include "arch/host/machine.hpp"
#include "arch/host/sched.hpp"
#include "core/control/life.hpp"
#include "core/sched/hypercalls.hpp"
#include "core/sched/scheduler.hpp"
#include "tests/unit/core/sched/common.hpp"

namespace xylem {
namespace {

using namespace test;
using host::World;
constexpr u32 cpus = 3;
constexpr u32 guests = 4;
constexpr u32 controllers = 2;

class SchedulerRaces {
   public:
    SchedulerRaces(u32 seed, u32 acts) : seed_(seed), acts_(acts) {
        for (u32 i = 0; i < guests; ++i) {
            Guest& g = guests_[i];
            g.v = &w_.add_vcpu(d_, [this, i] { live(guests_[i], std::mt19937(seed_ * 100 + i)); });
            g.v->info = &g.info;
        }
        for (u32 i = 0; i < controllers; ++i)
            controllers_[i] = &w_.add_vcpu(dom0_, [this, i] { control(std::mt19937(seed_ * 100 + 50 + i)); });
    }

    void run() {
        for (Guest& g : guests_) w_.start(*g.v);
        for (Vcpu* v : controllers_) w_.start(*v);
        w_.interleave(seed_);
        if (acts_ == 0) crowd();
        EXPECT_TRUE(w_.run_until([&] { return ready_ == controllers; }, 10 * second))
            << "a controller waits for ever, seed " << seed_;
        EXPECT_TRUE(w_.run_until([&] { return ended_; }, 10 * second)) << "a vCPU does not end, seed " << seed_;
    }

   private:
    struct Guest {
        Vcpu* v = nullptr;
        u64 progress = 0;
        u32 held = 0;  // by that many controllers
        vcpu_info info{};
        u64 events = 0;
    };
    using Random = std::mt19937;

    void is_in_guest(Guest& g) {
        EXPECT_EQ(g.held, 0u) << "runs though it is held, seed " << seed_;
        EXPECT_FALSE(d_.shut_down) << "runs though its domain has shut down, seed " << seed_;
        ++g.progress;
        if (__atomic_exchange_n(&g.info.evtchn_upcall_pending, u8{0}, __ATOMIC_SEQ_CST) != 0) ++g.events;
    }

    // As event channels do.
    void raise(Guest& g) {
        __atomic_store_n(&g.info.evtchn_upcall_pending, u8{1}, __ATOMIC_SEQ_CST);
        kick(*g.v);
    }

    void live(Guest& g, Random random) {
        for (;;) {
            is_in_guest(g);
            w_.compute(1 + static_cast<Nanos>(random()) % (20 * us));
            is_in_guest(g);
            switch (random() % 5) {
                case 0: w_.sleep(1 + static_cast<Nanos>(random()) % (20 * us)); break;
                case 1:  // a long hypercall
                    w_.call([&] {
                        for (u32 n = random() % 20; n > 0; --n) sched::make_way();
                    });
                    break;
                case 2: w_.call([] { sched::yield_current(); }); break;
                case 3: w_.call([] { (void)sched_op(port::current(), SCHEDOP_block, 0); }); break;
                default: break;
            }
        }
    }

    // All guests on one CPU: most of them have none, in the middle of something.
    void crowd() {
        for (Guest& g : guests_) EXPECT_TRUE(sched::set_affinity(*g.v, only({0}), sched::CpuMask::all()));
    }

    void hold(Guest& g, Nanos time) {
        if (!sched::pause_and_wait(*g.v)) return;
        ++g.held;
        const u64 progress = g.progress;
        for (u32 n = 0; n < 2; ++n) {
            EXPECT_FALSE(g.v->sched.on_cpu) << "is held on a CPU, seed " << seed_;
            EXPECT_TRUE(g.v->sched.at_exit) << "is held in the middle of something, seed " << seed_;
            EXPECT_EQ(g.progress, progress) << "runs though it is held, seed " << seed_;
            w_.compute(time);
        }
        --g.held;
        sched::unpause(*g.v);
    }

    void hold_all(Nanos time) {
        ASSERT_TRUE(control::pause(d_));
        for (Guest& g : guests_) ++g.held;
        w_.compute(time);
        for (Guest& g : guests_) --g.held;
        ASSERT_TRUE(control::unpause(d_));
    }

    void suspend() {
        w_.call([&] { shutdown_domain(d_, SHUTDOWN_suspend); });
        while (d_.shutting_down && !d_.shut_down) w_.call([] { sched::make_way(); });
        w_.call([&] { resume_domain(d_); });
    }

    void control(Random random) {
        for (u32 n = 0; n < acts_; ++n) {
            Guest& g = guests_[random() % guests];
            const Nanos time = 1 + static_cast<Nanos>(random()) % (20 * us);
            switch (random() % 9) {
                case 0:
                case 1: hold(g, time); break;
                case 2:
                    w_.call([&] { sched::pause(*g.v); });
                    w_.compute(time);
                    w_.call([&] { sched::unpause(*g.v); });
                    break;
                case 3:
                    w_.call([&] { sched::take_down(*g.v); });
                    w_.compute(time);
                    w_.call([&] { sched::bring_up(*g.v); });
                    break;
                case 4: {
                    sched::CpuMask mask;
                    mask.words[0] = 1 + random() % ((1U << cpus) - 1);
                    Guard guard(d_.lock);
                    if (random() % 2 == 0)
                        sched::set_cpus(d_, mask);
                    else
                        EXPECT_TRUE(sched::set_affinity(*g.v, mask, sched::CpuMask::all()));
                    break;
                }
                case 5: {
                    Guard guard(d_.lock);
                    EXPECT_TRUE(sched::set_params(d_, 100 + random() % 1000, 50 * (random() % 4)));
                    break;
                }
                case 6: w_.call([&] { raise(g); }); break;
                case 7: hold_all(time); break;
                default: suspend(); break;
            }
            w_.compute(time);
        }
        // Whatever the others still do ends with everybody up.
        ++ready_;
        while (ready_ < controllers) w_.sleep(ms);
        for (Guest& g : guests_) sched::bring_up(*g.v);
        if (&port::current() != controllers_[0]) return;
        for (Guest& g : guests_) expect_events(g, random);
        end();
    }

    // Nobody holds it any more: each one gets through, whatever it just does.
    void expect_events(Guest& g, Random& random) {
        for (u32 n = 0; n < 20; ++n) {
            const u64 before = g.events;
            w_.call([&] { raise(g); });
            for (u32 turn = 0; turn < 3000 && g.events == before; ++turn) w_.compute(100 * us);
            ASSERT_GT(g.events, before) << "an event or a vCPU is lost, seed " << seed_;
            w_.compute(static_cast<Nanos>(random()) % (50 * us));
        }
    }

    void end() {
        for (Guest& g : guests_) sched::end(*g.v);
        for (Guest& g : guests_) {
            sched::wait_until_ended(*g.v);
            const u64 progress = g.progress;
            EXPECT_FALSE(g.v->sched.on_cpu) << "has ended on a CPU, seed " << seed_;
            w_.compute(20 * us);
            EXPECT_FALSE(g.v->sched.on_cpu) << "gets a CPU after its end, seed " << seed_;
            EXPECT_EQ(g.progress, progress) << "runs after its end, seed " << seed_;
        }
        ended_ = true;
    }

    u32 seed_;
    u32 acts_;  // of each controller
    World w_{cpus};
    Domain& dom0_ = w_.add_domain();
    Domain& d_ = w_.add_domain();
    std::array<Guest, guests> guests_;
    std::array<Vcpu*, controllers> controllers_{};
    u32 ready_ = 0;
    bool ended_ = false;
};

TEST(SchedulerRacesTest, NobodyRunsWhoIsHeldAndNobodyIsLost) {
    with_seeds(200, [](u32 seed) { SchedulerRaces(seed, 50).run(); });
}

TEST(SchedulerRacesTest, WhoHasEndedIsOffItsCpu) {
    with_seeds(300, [](u32 seed) { SchedulerRaces(seed, 0).run(); });
}

}  // namespace
}  // namespace xylem
