// SPDX-License-Identifier: MIT
#include "guest/lib/ring.hpp"

#include <gtest/gtest.h>

namespace xylem {
namespace {

struct Request {
    u64 id, what;
};
struct Response {
    u64 id;
    i32 status;
    u32 padding;
};
using Ring = FrontRing<Request, Response>;

// The other side, honest or not.
struct Back {
    RingHeader* header;
    u8* slots;
    explicit Back(void* page) : header(static_cast<RingHeader*>(page)), slots(static_cast<u8*>(page) + sizeof(RingHeader)) {}
    u64 id_of(u32 index) const { return reinterpret_cast<const Request*>(slots + (index % Ring::slots) * Ring::slot_bytes)->id; }
    void answer(u32 index, u64 id, i32 status) {
        *reinterpret_cast<Response*>(slots + (index % Ring::slots) * Ring::slot_bytes) = {id, status, 0};
        header->rsp_prod = index + 1;
    }
};

class RingTest : public testing::Test {
   protected:
    alignas(4096) u8 page[4096];
    Ring ring{page};
    Back back{page};
};

TEST_F(RingTest, SlotsAreAPowerOfTwo) {
    EXPECT_EQ(Ring::slots, 128u);
}

TEST_F(RingTest, RequestsGoThereAndAnswersComeBackAroundTheEnd) {
    for (u32 i = 0; i < 1000; ++i) {
        ASSERT_TRUE(ring.put({i, 0}));
        back.header->req_event = i + 1;
        EXPECT_TRUE(ring.publish());
        EXPECT_EQ(back.id_of(i), i);
        EXPECT_FALSE(ring.take());
        back.answer(i, i, 5);
        const auto r = ring.take();
        ASSERT_TRUE(r);
        EXPECT_EQ(r->id, i);
        EXPECT_EQ(r->status, 5);
    }
}

TEST_F(RingTest, ItIsFullWhenAllSlotsAreInFlight) {
    for (u32 i = 0; i < Ring::slots; ++i) ASSERT_TRUE(ring.put({i, 0}));
    EXPECT_TRUE(ring.is_full());
    EXPECT_FALSE(ring.put({1, 1}));
    ring.publish();
    back.answer(0, 0, 0);
    EXPECT_TRUE(ring.take());
    EXPECT_TRUE(ring.put({1, 1}));
}

TEST_F(RingTest, NotifiesOnlyWhenAsked) {
    back.header->req_event = 3;
    ring.put({1, 0});
    ring.put({2, 0});
    EXPECT_FALSE(ring.publish());
    ring.put({3, 0});
    EXPECT_TRUE(ring.publish());
    ring.put({4, 0});
    EXPECT_FALSE(ring.publish());
}

TEST_F(RingTest, AnswersToNothingBreakTheRing) {
    ring.put({1, 0});
    ring.publish();
    back.header->rsp_prod = 2;
    EXPECT_FALSE(ring.take());
    EXPECT_TRUE(ring.is_broken());
    EXPECT_FALSE(ring.put({1, 0}));
}

TEST_F(RingTest, AnIndexThatGoesBackBreaksTheRing) {
    ring.put({1, 0});
    ring.publish();
    back.answer(0, 1, 0);
    EXPECT_TRUE(ring.take());
    back.header->rsp_prod = 0;
    EXPECT_FALSE(ring.take());
    EXPECT_TRUE(ring.is_broken());
}

TEST_F(RingTest, WhatWasPutButNotPublishedCannotBeAnswered) {
    ring.put({1, 0});
    back.header->rsp_prod = 1;
    EXPECT_FALSE(ring.take());
    EXPECT_TRUE(ring.is_broken());
}

TEST_F(RingTest, RearmTellsWhatCameMeanwhile) {
    ring.put({1, 0});
    ring.publish();
    EXPECT_FALSE(ring.rearm());
    EXPECT_EQ(back.header->rsp_event, 1u);
    back.answer(0, 1, 0);
    EXPECT_TRUE(ring.rearm());
}

}  // namespace
}  // namespace xylem
