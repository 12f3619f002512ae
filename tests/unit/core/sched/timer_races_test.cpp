// SPDX-License-Identifier: MIT
// One timer that several CPUs set, take to themselves and cancel at once, interleaved at the entries of the functions involved.
#include <algorithm>
#include <array>
#include <random>

#include "arch/host/machine.hpp"
#include "arch/host/sched.hpp"
#include "core/sched/scheduler.hpp"
#include "tests/unit/core/sched/common.hpp"

namespace xylem {
namespace {

using namespace test;
using host::World;
constexpr u32 cpus = 3;
constexpr u32 rounds = 40;

class TimerRaces {
   public:
    explicit TimerRaces(u32 seed) : seed_(seed) {
        timer_.handler = [](void* races) { static_cast<TimerRaces*>(races)->fire(); };
        timer_.context = this;
        for (u32 i = 0; i < cpus; ++i) {
            Vcpu& v = w_.add_vcpu(d_, [this, i] { act(i); });
            EXPECT_TRUE(sched::set_affinity(v, only({i}), sched::CpuMask::all()));
            w_.start(v);
        }
    }

    void run() {
        w_.interleave(seed_);
        EXPECT_TRUE(w_.run_until([&] { return done_ == cpus; }, second)) << "seed " << seed_;
    }

   private:
    void fire() {
        running_ = true;
        w_.step();
        fired_ = host::machine.now;
        running_ = false;
    }

    // Until all are here.
    void meet() {
        const u32 target = (met_ / cpus + 1) * cpus;
        ++met_;
        while (met_ < target) w_.compute(us);
    }

    // All set it at once: the last one's word holds. Or one cancels at the same time: then either may.
    void act(u32 self) {
        std::mt19937 random(seed_ * 100 + self);
        for (u32 round = 0; round < rounds; ++round) {
            meet();
            const bool cancels = self == 0 && round % 2 == 0;
            starts_[self] = host::machine.now;
            const Nanos deadline = host::machine.now + static_cast<Nanos>(random()) % (20 * us);
            if (cancels)
                timer_cancel(timer_);
            else if (random() % 2 == 0)
                timer_set_here(timer_, deadline);
            else
                timer_set(timer_, deadline);
            meet();
            if (self == 0) look(round % 2 != 0);
        }
        ++done_;
    }

    void look(bool was_set) {
        w_.compute(200 * us);
        EXPECT_FALSE(timer_.armed) << "does not fire, seed " << seed_;
        if (was_set) EXPECT_GE(fired_, *std::ranges::max_element(starts_)) << "what was set is lost, seed " << seed_;
        timer_set(timer_, host::machine.now + static_cast<Nanos>(seed_ % 7) * us);
        w_.compute(static_cast<Nanos>(seed_ % 5) * us);
        if (seed_ % 2 != 0) timer_set_here(timer_, host::machine.now + ms);  // its handler may run elsewhere
        timer_cancel(timer_);
        EXPECT_FALSE(running_) << "its handler runs on after it was cancelled, seed " << seed_;
        const Nanos before = fired_;
        w_.compute(20 * us);
        EXPECT_EQ(fired_, before) << "fires after it was cancelled, seed " << seed_;
    }

    u32 seed_;
    World w_{cpus};
    Domain& d_ = w_.add_domain();
    Timer timer_;
    bool running_ = false;
    Nanos fired_ = 0;
    std::array<Nanos, cpus> starts_{};
    u32 met_ = 0;
    u32 done_ = 0;
};

TEST(TimerRacesTest, WhatIsSetFiresAndWhatIsCancelledDoesNot) {
    with_seeds(100, [](u32 seed) { TimerRaces(seed).run(); });
}

}  // namespace
}  // namespace xylem
