// SPDX-License-Identifier: MIT
#include "guest/lib/batch.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace xylem {
namespace {

struct Seen {
    std::vector<std::vector<multicall_entry_t>> lists;
    std::vector<std::vector<mmu_update_t>> updates;
    long answer = 0;
};
// Records each multicall; operation 99 fails with -22.
struct Recorder {
    Seen* seen;
    long operator()(multicall_entry_t* list, unsigned count) const {
        seen->lists.emplace_back(list, list + count);
        for (unsigned i = 0; i < count; ++i) {
            list[i].result = list[i].op == 99 ? static_cast<xen_ulong_t>(-22) : 0;
            if (list[i].op == __HYPERVISOR_mmu_update) {
                const auto* u = reinterpret_cast<const mmu_update_t*>(list[i].args[0]);
                seen->updates.emplace_back(u, u + list[i].args[1]);
            }
        }
        return seen->answer;
    }
};
using TestBatch = batch::Batch<Recorder, 4, 8>;

TEST(Batch, OutsideLazyModeEachCallGoesOut) {
    Seen seen;
    TestBatch b{Recorder{&seen}};
    EXPECT_TRUE(b.call("a", 2, u64{7}));
    EXPECT_TRUE(b.call("b", 2));
    ASSERT_EQ(seen.lists.size(), 2u);
    EXPECT_EQ(seen.lists[0][0].args[0], 7u);
}

TEST(Batch, LazyModeCollectsUntilTheOutermostEnd) {
    Seen seen;
    TestBatch b{Recorder{&seen}};
    b.enter_lazy();
    b.call("a", 2);
    b.enter_lazy();
    b.call("b", 2);
    EXPECT_TRUE(b.leave_lazy());
    EXPECT_TRUE(seen.lists.empty());
    EXPECT_TRUE(b.leave_lazy());
    ASSERT_EQ(seen.lists.size(), 1u);
    EXPECT_EQ(seen.lists[0].size(), 2u);
    EXPECT_EQ(b.stats().calls, 2u);
    EXPECT_EQ(b.stats().multicalls, 1u);
}

TEST(Batch, AFullListGoesOutByItself) {
    Seen seen;
    TestBatch b{Recorder{&seen}};
    b.enter_lazy();
    for (u64 i = 0; i < 9; ++i) b.call("x", 2, i);
    b.leave_lazy();
    ASSERT_EQ(seen.lists.size(), 3u);
    EXPECT_EQ(seen.lists[0].size(), 4u);
    EXPECT_EQ(seen.lists[2].size(), 1u);
    EXPECT_EQ(seen.lists[2][0].args[0], 8u);
}

TEST(Batch, UpdatesOfTheSameDomainJoin) {
    Seen seen;
    TestBatch b{Recorder{&seen}};
    b.enter_lazy();
    for (u64 i = 0; i < 5; ++i) b.update("pte", i * 8, i);
    b.update("foreign", 800, 1, 3);
    b.call("other", 2);
    b.update("pte", 900, 2);
    b.leave_lazy();
    ASSERT_EQ(seen.lists.size(), 1u);
    EXPECT_EQ(seen.lists[0].size(), 4u);
    ASSERT_EQ(seen.updates.size(), 3u);
    EXPECT_EQ(seen.updates[0].size(), 5u);
    EXPECT_EQ(seen.updates[0][4].ptr, 32u);
    EXPECT_EQ(seen.updates[2][0].ptr, 900u);
    EXPECT_EQ(b.stats().calls, 8u);
    EXPECT_EQ(b.stats().entries, 4u);
}

TEST(Batch, MoreUpdatesThanRoomAreAllThere) {
    Seen seen;
    TestBatch b{Recorder{&seen}};
    b.enter_lazy();
    for (u64 i = 0; i < 30; ++i) b.update("pte", i, i);
    b.leave_lazy();
    std::vector<u64> all;
    for (const auto& list : seen.updates)
        for (const auto& u : list) all.push_back(u.ptr);
    ASSERT_EQ(all.size(), 30u);
    for (u64 i = 0; i < 30; ++i) EXPECT_EQ(all[i], i);
}

TEST(Batch, AnErrorNamesItsEntry) {
    Seen seen;
    TestBatch b{Recorder{&seen}};
    b.enter_lazy();
    b.call("fine", 2);
    b.call("wrong", 99);
    b.call("wrong too", 99);
    EXPECT_FALSE(b.leave_lazy());
    ASSERT_TRUE(b.has_error());
    EXPECT_STREQ(b.first_error().tag, "wrong");
    EXPECT_EQ(b.first_error().result, -22);
    EXPECT_EQ(b.first_error().position, 1u);
    EXPECT_EQ(b.stats().failures, 2u);
    b.forget_error();
    EXPECT_TRUE(b.call("fine", 2));
    EXPECT_FALSE(b.has_error());
}

TEST(Batch, AFailingMulticallIsAnErrorOfItsOwn) {
    Seen seen;
    seen.answer = -14;
    TestBatch b{Recorder{&seen}};
    EXPECT_FALSE(b.call("x", 2));
    EXPECT_STREQ(b.first_error().tag, "multicall");
    EXPECT_EQ(b.first_error().result, -14);
}

}  // namespace
}  // namespace xylem
