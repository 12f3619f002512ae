// SPDX-License-Identifier: MIT
#include "guest/lib/blkfront.hpp"

#include <gtest/gtest.h>

#include "guest/kit/memory.hpp"
#include "tests/kit/fake_kit.hpp"

namespace xylem {
namespace {

using fake::world;

// A backend that answers every request with what `reply` says.
class Blkfront : public testing::Test {
   protected:
    void SetUp() override {
        fake::start_with("vbd/51712");
        world().store["/back/sectors"] = "2048";
        world().store["/back/info"] = "0";
    }
    blkfront::Disk& connect() {
        const auto d = blkfront::Disk::connect();
        EXPECT_TRUE(d);
        header = static_cast<RingHeader*>(world().page(world().number("device/vbd/51712/ring-ref")));
        world().backend = [this] { serve(); };
        memory = static_cast<u8*>(kit::allocate_pages());
        return **d;
    }
    void* slot(u32 index) { return reinterpret_cast<u8*>(header) + sizeof(RingHeader) + (index % 32) * sizeof(blkif_request_t); }
    void serve() {
        for (; answers && seen != header->req_prod; ++seen) {
            blkif_request_t request;
            std::memcpy(&request, slot(seen), sizeof request);
            blkif_response_t response{};
            response.id = request.id;
            response.operation = request.operation;
            reply(request, response);
            std::memcpy(slot(seen), &response, sizeof response);
            header->rsp_prod = seen + 1;
        }
        meddle();
    }

    RingHeader* header = nullptr;
    u8* memory = nullptr;
    u32 seen = 0;
    bool answers = true;
    std::function<void(const blkif_request_t&, blkif_response_t&)> reply = [](const auto&, auto&) {};
    std::function<void()> meddle = [] {};
};

TEST_F(Blkfront, ASectorComesThroughAGrantThatEnds) {
    auto& disk = connect();
    EXPECT_EQ(disk.sectors(), 2048u);
    reply = [](const blkif_request_t& r, blkif_response_t&) {
        EXPECT_EQ(r.sector_number, 9u);
        EXPECT_EQ(r.seg[0].first_sect, 1);
        EXPECT_EQ(r.seg[0].last_sect, 2);
        EXPECT_EQ(world().grants.at(r.seg[0].gref).access, grants::Access::read_write);
        std::memset(static_cast<u8*>(world().page(r.seg[0].gref)) + 512, 'x', 1024);
    };
    EXPECT_TRUE(disk.read(9, 2, memory + 512));
    EXPECT_EQ(memory[512], 'x');
    EXPECT_EQ(memory[1535], 'x');
    EXPECT_TRUE(world().grants.rbegin()->second.ended);
    reply = [](const auto&, auto&) {};
    EXPECT_TRUE(disk.write(9, 1, memory));
    EXPECT_EQ(world().grants.rbegin()->second.access, grants::Access::read_only);
}

TEST_F(Blkfront, AnErrorAndAnAnswerToAnotherRequestAreErrors) {
    auto& disk = connect();
    reply = [](const auto&, blkif_response_t& r) { r.status = BLKIF_RSP_ERROR; };
    EXPECT_EQ(disk.read(0, 1, memory).error(), XEN_EIO);
    reply = [](const auto&, blkif_response_t& r) { r.id += 1; };
    EXPECT_EQ(disk.read(0, 1, memory).error(), XEN_EIO);
    reply = [](const auto&, auto&) {};
    EXPECT_TRUE(disk.read(0, 1, memory));
}

TEST_F(Blkfront, AProducerIndexFromNowhereBreaksTheRingForGood) {
    auto& disk = connect();
    meddle = [this] { header->rsp_prod = header->req_prod + 1; };
    EXPECT_EQ(disk.read(0, 1, memory).error(), XEN_EIO);
    EXPECT_FALSE(world().grants.rbegin()->second.ended) << "the backend may still write to the page";
    meddle = [this] { header->rsp_prod = header->req_prod; };
    EXPECT_EQ(disk.read(0, 1, memory).error(), XEN_EIO);
}

TEST_F(Blkfront, ABackendThatVanishesEndsTheWait) {
    auto& disk = connect();
    answers = false;
    const Nanos before = world().now;
    EXPECT_EQ(disk.read(0, 1, memory).error(), XEN_EIO);
    EXPECT_GE(world().now - before, frontend::patience);
    EXPECT_FALSE(world().grants.rbegin()->second.ended);
}

TEST_F(Blkfront, APageThatTheBackendKeepsIsNotOursAgain) {
    auto& disk = connect();
    world().backend_keeps_pages = true;
    EXPECT_EQ(disk.read(0, 1, memory).error(), XEN_EBUSY);
}

TEST_F(Blkfront, ConnectingToNobodyOrToNonsenseFails) {
    world().store["/back/state"] = "6";
    EXPECT_EQ(blkfront::Disk::connect().error(), XEN_ENODEV);
    world().store["/back/state"] = "2";
    EXPECT_EQ(blkfront::Disk::connect().error(), XEN_ETIME);
    world().store["/back/state"] = "4";
    world().store["/back/sectors"] = "many";
    EXPECT_EQ(blkfront::Disk::connect().error(), XEN_EINVAL);
    world().store.erase("/back/sectors");
    EXPECT_EQ(blkfront::Disk::connect().error(), XEN_ENOENT);
    world().no_memory = true;
    EXPECT_EQ(blkfront::Disk::connect().error(), XEN_ENOMEM);
    world().store.clear();
    EXPECT_EQ(blkfront::Disk::connect().error(), XEN_ENOENT);
}

}  // namespace
}  // namespace xylem
