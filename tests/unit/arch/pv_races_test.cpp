// SPDX-License-Identifier: MIT
// What two CPUs do at once, interleaved in as many ways as there are seeds.
#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "arch/x86/pv/vcpu_context.hpp"
#include "core/domain/destroy.hpp"
#include "core/evtchn/table.hpp"
#include "core/grant/maptrack.hpp"
#include "core/grant/table.hpp"
#include "core/mem/pages.hpp"
#include "core/port/machine.hpp"
#include "core/sched/scheduler.hpp"
#include "tests/unit/arch/pv_world.hpp"

namespace xylem::host {
namespace {

class PvRaces : public PvMmu {
   protected:
    // Both at once, on CPUs 0 and 1. Each goes on for 1 to 128 steps: what fits into a narrow window of one takes many of the
    // other.
    void race(u64 seed, std::function<void()> a, std::function<void()> b) {
        interleave_at_function_entries(2, seed * 0x9e3779b97f4a7c15);
        u64 x = seed;
        u32 turn = 0;
        u32 left = 0;
        run_at_once({std::move(a), std::move(b)}, [&](u32) {
            if (second_alone_ && ++steps_alone_ % 100 != 0) return 1U;
            if (left-- == 0) {
                x = x * 6364136223846793005 + 1442695040888963407;
                turn = static_cast<u32>(x >> 33) & 1;
                left = (1U << (x >> 34 & 7)) - 1;
            }
            return turn;
        });
        interleave_at_function_entries(0, 1);
    }
    // By the second one: the first stands still meanwhile, wherever it is (but for what the second waits for: a lock).
    template <class Act>
    void in_one_go(u64 seed, Act&& act) {
        second_alone_ = true;
        interleave_at_function_entries(0, 1);
        act();
        interleave_at_function_entries(2, seed);
        second_alone_ = false;
    }
    // How often CPU 1 comes to act while CPU 0 does something long.
    u32 turns_beside(std::function<void()> long_task) {
        u32 turns = 0;
        bool done = false;
        run_at_once({[&] {
                         long_task();
                         done = true;
                     },
                     [&] {
                         while (!done) {
                             ++turns;
                             interleave();
                         }
                     }},
                    [n = 0u](u32) mutable { return n++; });
        return turns;
    }
    void run_guest_on_both() {
        w.run(g, 1, 1);
        w.run(g, 0, 0);
    }
    // The guest's vCPU 0 on CPU 0, dom0 on CPU 1.
    void run_both_guests() {
        w.run(dom0, 0, 1);
        w.run(g, 0, 0);
    }

   private:
    bool second_alone_ = false;
    u32 steps_alone_ = 0;
};

TEST_F(PvRaces, xsa_045_long_operations_let_others_in_and_finish) {
    protect(8);
    g.words(8)[0] = g.entry(1, rw);
    const u32 turns = turns_beside([&] { EXPECT_EQ(ext(MMUEXT_PIN_L4_TABLE, g.frames[8].raw), 0); });
    EXPECT_GT(turns, 1u);
}

TEST_F(PvRaces, xsa_401_two_cpus_cannot_make_a_page_writable_and_a_table) {
    for (u64 seed = 1; seed < 300; ++seed) {
        run_guest_on_both();
        ASSERT_EQ(va_mapping(8, 0, UVMF_INVLPG | UVMF_ALL), 0);
        const u64 at = put_ext(MMUEXT_PIN_L1_TABLE, g.frames[8].raw);
        long pinned = 1, mapped = 1;
        race(
            seed, [&] { pinned = w.call(__HYPERVISOR_mmuext_op, at, 1, 0, DOMID_SELF); },
            [&] {
                mapped = w.call(__HYPERVISOR_update_va_mapping, PvGuest::va(8), g.entry(8, rw), 0);
                (void)store(PvGuest::va(8), g.entry(3, rw));
                if (mapped == 0) (void)w.call(__HYPERVISOR_update_va_mapping, PvGuest::va(8), 0, 0);
            });
        ASSERT_EQ(w.check(), "") << seed;
        EXPECT_TRUE(pinned == 0 || mapped == 0);
        if (pinned == 0) {
            EXPECT_EQ(ext(MMUEXT_UNPIN_TABLE, g.frames[8].raw), 0);
        }
        g.words(8)[0] = 0;
    }
}

TEST_F(PvRaces, a_strangers_attempt_to_write_never_makes_a_pin_fail) {
    for (u64 seed = 1; seed < 300; ++seed) {
        run_both_guests();
        ASSERT_EQ(va_mapping(8, g.entry(8, rw)), 0);  // writable memory is what it last was
        ASSERT_EQ(va_mapping(8, 0, UVMF_INVLPG | UVMF_ALL), 0);
        const u64 at = put_ext(MMUEXT_PIN_L1_TABLE, g.frames[8].raw);
        const u64 update_at = w.put(dom0, mmu_update{g.slot(8, 5).raw, 0});
        long pinned = 1;
        race(
            seed, [&] { pinned = w.call(__HYPERVISOR_mmuext_op, at, 1, 0, DOMID_SELF); },
            [&] { EXPECT_EQ(w.call(__HYPERVISOR_mmu_update, update_at, 1, 0, DOMID_SELF), error(XEN_EINVAL)); });
        ASSERT_EQ(pinned, 0) << seed;
        ASSERT_EQ(ext(MMUEXT_UNPIN_TABLE, g.frames[8].raw), 0);
    }
}

TEST_F(PvRaces, a_walk_through_a_table_that_is_taken_apart_stays_in_memory) {
    for (u32 table : {8u, 9u, 10u}) protect(table);
    g.words(9)[0] = g.entry(8, rw);
    const u64 link = g.entry(9, rw);
    const u64 wild = u64{0xfffff} << page_shift | rw;  // no memory there
    g.words(10)[0] = link;
    ASSERT_EQ(update(g.slot(PvGuest::l4, 5).raw, g.entry(10, rw)), 0);
    const u64 va = u64{5} << 39;
    u32 refused = 0;
    for (u64 seed = 1; seed < 300; ++seed) {
        run_guest_on_both();
        std::atomic<u32> calls = 0;
        race(
            seed,
            [&] {
                for (; calls < 4; ++calls) refused += w.call(__HYPERVISOR_update_va_mapping, va, 0, 0) != 0 ? 1 : 0;
            },
            [&] {
                for (u32 n = 0; n < seed % 8; ++n) interleave();
                in_one_go(seed, [&] {
                    ASSERT_EQ(update(g.slot(PvGuest::l4, 5).raw, 0), 0);
                    g.words(10)[0] = wild;
                });
                const auto go_on = [&, before = calls.load()] { return calls == before && calls < 4; };
                while (go_on()) interleave();
                g.words(10)[0] = link;
                ASSERT_EQ(update(g.slot(PvGuest::l4, 5).raw, g.entry(10, rw)), 0);
            });
    }
    EXPECT_GT(refused, 10u);
}

TEST_F(PvRaces, a_vcpu_does_not_start_before_it_has_all_of_its_state) {
    PvGuest& three = w.add_guest(3);
    Vcpu& v = *three.domain->vcpus[2];
    pv::release_resources(*v.arch);
    u32 in_between = 0;
    for (u64 seed = 1; seed < 100; ++seed) {
        v.setup = Setup::none;
        w.run(three, 1, 1);
        w.run(three, 0, 0);
        vcpu_guest_context c{};
        c.flags = VGCF_in_kernel;
        c.ctrlreg[3] = maddr_of(three.frames[PvGuest::l4]).raw;
        ASSERT_TRUE(guest_store(PvGuest::va(8), &c, sizeof c).ok);
        long initialised = 1;
        race(
            seed, [&] { initialised = w.call(__HYPERVISOR_vcpu_op, VCPUOP_initialise, v.id.raw, PvGuest::va(8)); },
            [&] {
                while (w.call(__HYPERVISOR_vcpu_op, VCPUOP_up, v.id.raw) != 0) {
                    in_between += v.setup == Setup::under_way ? 1 : 0;
                    interleave();
                }
                EXPECT_NE(v.arch->kernel_root, 0u) << "it would run on no page table, seed " << seed;
            });
        EXPECT_EQ(initialised, 0);
        sched::take_down(v);
        pv::release_resources(*v.arch);
    }
    EXPECT_GT(in_between, 10u);
}

TEST_F(PvRaces, a_frame_given_to_a_dying_domain_is_freed_with_it) {
    for (u64 seed = 1; seed < 60; ++seed) {
        run_both_guests();
        PvGuest& heir = w.add_guest(1, 8);
        w.run(g, 0, 0);
        reinterpret_cast<grant_entry_v1_t*>(heir.grant_table())[8] = {GTF_accept_transfer, g.domain->id.raw, 0x99};
        ASSERT_EQ(va_mapping(8, 0, UVMF_INVLPG | UVMF_ALL), 0);
        const Mfn given = g.frames[8];
        gnttab_transfer op{};
        op.mfn = given.raw;
        op.domid = heir.domain->id.raw;
        op.ref = 8;
        const u64 at = w.put(g, op);
        race(
            seed, [&] { (void)w.call(__HYPERVISOR_grant_table_op, GNTTABOP_transfer, at, 1); },
            [&] {
                for (u32 n = 0; n < seed % 16; ++n) interleave();
                in_one_go(seed, [&] {
                    const ControlLock lock(*heir.domain);
                    destroy_domain(*heir.domain);
                });
            });
        ASSERT_TRUE(find_page(given)->load().has(PageState::free_bit)) << seed;
        g.frames[8] = *allocate_domain_pages(*g.domain, 0);
    }
}

// The domain guesses which frame it will get, and lets go of it before it is told.
TEST_F(PvRaces, a_frame_let_go_of_at_once_keeps_the_m2p_entry_of_its_next_owner) {
    constexpr u64 of_the_next = 0x7777;
    u32 races_won = 0;
    for (u64 seed = 1; seed < 300; ++seed) {
        run_both_guests();
        const Mfn guess = *allocate_domain_pages(*dom0.domain, 0);
        ASSERT_TRUE(release_domain_page(*dom0.domain, *find_page(guess)));
        u64 pfn = 0x1234;
        xen_memory_reservation r{};
        const u64 list_at = w.put(g, pfn, 512);
        std::memcpy(&r.extent_start, &list_at, sizeof list_at);
        r.nr_extents = 1;
        r.domid = DOMID_SELF;
        const u64 at = w.put(g, r);
        Mfn next = invalid_mfn;
        bool done = false;
        race(
            seed,
            [&] {
                (void)w.call(__HYPERVISOR_memory_op, XENMEM_populate_physmap, at);
                done = true;
            },
            [&] {
                for (u64 n = 0; !done && next == invalid_mfn; interleave()) {
                    in_one_go(seed << 32 | ++n, [&] {
                        if (release_domain_page(*g.domain, *find_page(guess)))
                            next = *allocate_domain_pages(*dom0.domain, 0, {.pfn = of_the_next});
                    });
                }
            });
        if (next == guess) {
            ++races_won;
            EXPECT_EQ(port::get_m2p(guess), of_the_next) << seed;
        }
        if (next != invalid_mfn)
            ASSERT_TRUE(release_domain_page(*dom0.domain, *find_page(next)));
        else
            (void)release_domain_page(*g.domain, *find_page(guess));
    }
    EXPECT_GT(races_won, 10u);
}

TEST_F(PvRaces, xsa_228_a_handle_has_one_holder) {
    for (u64 seed = 1; seed < 25; ++seed) {
        grant::Maptrack handles;
        handles.limit_to(1);
        std::set<grant::Handle> held;
        const auto use = [&] {
            std::vector<grant::Handle> mine;
            for (int n = 0; n < 40; ++n) {
                const auto h = handles.reserve(*dom0.domain, 7);
                ASSERT_TRUE(h);
                ASSERT_TRUE(held.insert(*h).second) << "handle " << *h << " is another's, seed " << seed;
                handles.publish(*h, grant::part::host);
                mine.push_back(*h);
                if (n % 3 == 0) continue;
                const grant::Handle give = mine[static_cast<usize>(n) / 2 % mine.size()];
                std::erase(mine, give);
                ASSERT_EQ(handles.claim(give, grant::part::host).ref, 7u);
                held.erase(give);
                handles.finish(give);
            }
            for (grant::Handle h : mine) {
                ASSERT_EQ(handles.claim(h, grant::part::host).ref, 7u);
                held.erase(h);
                handles.finish(h);
            }
        };
        race(seed, use, use);
        ASSERT_EQ(handles.live(), 0u);
        handles.destroy();
    }
}

TEST_F(PvRaces, xsa_338_xsa_340_a_port_is_whole_when_it_can_be_found_and_stays) {
    const u32 channels_per_bucket = page_size / sizeof(evtchn::Channel);
    for (u64 seed = 1; seed < 12; ++seed) {
        run_guest_on_both();
        evtchn::Table& table = *g.domain->events;
        u32 made = 0;
        u32 seen = 0;
        race(
            seed,
            [&] {
                for (u32 n = 0; n < 3 * channels_per_bucket; ++n) {
                    const auto port = table.bind_ipi(VcpuId(n % 2));
                    ASSERT_TRUE(port);
                    made = std::max(made, port->raw);
                }
            },
            [&] {
                for (u32 at = 1; at < 3 * channels_per_bucket;) {
                    const bool known = made >= at;
                    const bool sent = table.send(Port(at)).has_value();
                    EXPECT_TRUE(sent || !known) << "port " << at << ", seed " << seed;
                    evtchn_status s{};
                    ASSERT_TRUE(!sent || (table.status(Port(at), s) && s.status == EVTCHNSTAT_ipi && s.vcpu == (at - 1) % 2));
                    if (sent)
                        ++at, ++seen;
                    else
                        interleave();
                }
            });
        EXPECT_EQ(seen, 3 * channels_per_bucket - 1);
        EXPECT_TRUE(table.is_consistent());
        ASSERT_TRUE(table.reset());
    }
}

TEST_F(PvRaces, xsa_344_closing_all_ports_lets_others_in) {
    run_guest_on_both();
    for (u32 n = 0; n < 3000; ++n) ASSERT_TRUE(g.domain->events->bind_ipi(VcpuId(0)));
    const u64 at = w.put(g, evtchn_reset{.dom = DOMID_SELF});
    const u32 turns = turns_beside([&] { EXPECT_EQ(w.call(__HYPERVISOR_event_channel_op, EVTCHNOP_reset, at), 0); });
    EXPECT_GT(turns, 10u);
}

}  // namespace
}  // namespace xylem::host
