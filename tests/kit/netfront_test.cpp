// SPDX-License-Identifier: MIT
#include "guest/lib/netfront.hpp"

#include <gtest/gtest.h>

#include "tests/kit/fake_kit.hpp"

namespace xylem {
namespace {

using fake::world;

class Netfront : public testing::Test {
   protected:
    void SetUp() override {
        fake::start_with("vif/0");
        world().store["device/vif/0/mac"] = "00:16:3e:00:00:0a";
    }
    netfront::Card& connect() {
        const auto c = netfront::Card::connect();
        EXPECT_TRUE(c);
        rx = static_cast<RingHeader*>(world().page(world().number("device/vif/0/rx-ring-ref")));
        tx = static_cast<RingHeader*>(world().page(world().number("device/vif/0/tx-ring-ref")));
        return **c;
    }
    static u8* slot(RingHeader* ring, u32 index, usize bytes) {
        return reinterpret_cast<u8*>(ring) + sizeof(RingHeader) + (index % 256) * bytes;
    }
    // Answers the next posted page.
    void receive(u16 id, u16 offset, i16 status) {
        netif_rx_response_t response{};
        response.id = id;
        response.offset = offset;
        response.status = status;
        std::memcpy(slot(rx, rx->rsp_prod, sizeof(netif_rx_request_t)), &response, sizeof response);
        ++rx->rsp_prod;
    }
    netif_rx_request_t posted(u32 index) {
        netif_rx_request_t request;
        std::memcpy(&request, slot(rx, index, sizeof request), sizeof request);
        return request;
    }

    RingHeader *rx = nullptr, *tx = nullptr;
    u8 frame[2048]{};
};

TEST_F(Netfront, AFrameIsCopiedOutAndItsPagePostedAgain) {
    auto& card = connect();
    EXPECT_EQ(card.mac()[5], 10);
    EXPECT_EQ(rx->req_prod, 16u);
    const auto request = posted(0);
    std::memset(static_cast<u8*>(world().page(request.gref)) + 100, 'f', 60);
    receive(request.id, 100, 60);
    EXPECT_EQ(card.receive(frame, world().now), 60u);
    EXPECT_EQ(frame[59], 'f');
    EXPECT_EQ(rx->req_prod, 17u);
    EXPECT_EQ(posted(16).gref, request.gref);
}

TEST_F(Netfront, LengthsAndOffsetsBeyondThePageAreNotFollowed) {
    auto& card = connect();
    receive(0, 4095, 2);
    receive(1, 0xffff, 1);
    receive(2, 0, 4097);
    receive(3, 0, -1);
    receive(4, 0, 0);
    EXPECT_EQ(card.receive(frame, world().now), 0u);
    EXPECT_EQ(rx->req_prod, 21u) << "their pages are posted again";
    receive(5, 0, 4096);
    EXPECT_EQ(card.receive(frame, world().now), sizeof frame) << "cut to the caller's room";
}

TEST_F(Netfront, APageNumberThatWasNeverPostedIsIgnored) {
    auto& card = connect();
    receive(16, 0, 60);
    EXPECT_EQ(card.receive(frame, world().now), 0u);
    receive(0xffff, 0, 60);
    EXPECT_EQ(card.receive(frame, world().now), 0u);
}

TEST_F(Netfront, AProducerIndexFromNowhereBreaksTheRing) {
    auto& card = connect();
    rx->rsp_prod = 17;
    EXPECT_EQ(card.receive(frame, world().now + frontend::patience), 0u);
    rx->rsp_prod = 1;
    EXPECT_EQ(card.receive(frame, world().now), 0u);
}

TEST_F(Netfront, SendingReportsWhatTheBackendSays) {
    auto& card = connect();
    i16 status = NETIF_RSP_OKAY;
    world().backend = [&] {
        for (; tx->rsp_prod != tx->req_prod; ++tx->rsp_prod) {
            netif_tx_response_t response{};
            response.status = status;
            std::memcpy(slot(tx, tx->rsp_prod, sizeof(netif_tx_request_t)), &response, sizeof response);
        }
    };
    EXPECT_TRUE(card.send({frame, 60}));
    status = NETIF_RSP_DROPPED;
    EXPECT_EQ(card.send({frame, 60}).error(), XEN_EIO);
    EXPECT_EQ(card.send({frame, 2000}).error(), XEN_E2BIG);
    world().backend = [&] { tx->rsp_prod = tx->req_prod + 5; };
    EXPECT_EQ(card.send({frame, 60}).error(), XEN_EIO);
}

TEST_F(Netfront, ABackendThatVanishesEndsTheWait) {
    auto& card = connect();
    EXPECT_EQ(card.send({frame, 60}).error(), XEN_EIO);
}

TEST_F(Netfront, AnAddressThatIsNoneIsRefused) {
    world().store["device/vif/0/mac"] = "00:16:3e:00:00:1ff";
    EXPECT_EQ(netfront::Card::connect().error(), XEN_EINVAL);
    world().store["device/vif/0/mac"] = "00:16";
    EXPECT_EQ(netfront::Card::connect().error(), XEN_EINVAL);
}

}  // namespace
}  // namespace xylem
