// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "guest/lib/store_server.hpp"
#include "guest/lib/store_wire.hpp"

namespace xylem::store {
namespace {

using namespace std::string_literals;

Message message(u32 type, const std::string& payload) {
    Message m;
    m.head = {.type = type, .req_id = 7, .tx_id = 0, .len = static_cast<u32>(payload.size())};
    std::copy(payload.begin(), payload.end(), m.text);
    return m;
}

class StoreServer : public testing::Test {
   protected:
    std::string ask(u16 domain, u32 type, const std::string& payload) {
        Message reply;
        server->answer(DomId(domain), message(type, payload), reply);
        EXPECT_EQ(reply.head.req_id, 7u);
        return (reply.head.type == XS_ERROR ? "!" : "") + std::string(reply.payload());
    }
    std::string event() {
        const auto e = std::make_unique<Server::Event>();
        if (!server->next_event(*e)) return "";
        return std::to_string(e->to.raw) + ":" + std::string(e->message.payload());
    }
    std::unique_ptr<Server> server = std::make_unique<Server>();
};

TEST_F(StoreServer, WhatIsWrittenIsRead) {
    EXPECT_EQ(ask(0, XS_WRITE, "/a/b\0value"s), "OK\0"s);
    EXPECT_EQ(ask(0, XS_READ, "/a/b\0"s), "value");
    EXPECT_EQ(ask(0, XS_READ, "/a\0"s), "");
    EXPECT_EQ(ask(0, XS_READ, "/c\0"s), "!ENOENT\0"s);
}

TEST_F(StoreServer, RelativePathsAreTheDomainsOwn) {
    EXPECT_EQ(ask(3, XS_WRITE, "data/x\0001"s), "OK\0"s);
    EXPECT_EQ(ask(0, XS_READ, "/local/domain/3/data/x\0"s), "1");
}

TEST_F(StoreServer, ADomainWritesOnlyInItsPlace) {
    EXPECT_EQ(ask(3, XS_WRITE, "/local/domain/4/x\0y"s), "!EACCES\0"s);
    EXPECT_EQ(ask(3, XS_WRITE, "/local/domain/33/x\0y"s), "!EACCES\0"s);
    EXPECT_EQ(ask(3, XS_RM, "/local\0"s), "!EACCES\0"s);
    EXPECT_EQ(ask(3, XS_WRITE, "/local/domain/3/x\0y"s), "OK\0"s);
}

TEST_F(StoreServer, DirectoriesListTheirChildren) {
    ask(0, XS_WRITE, "/d/one\0a"s);
    ask(0, XS_WRITE, "/d/two/deep\0a"s);
    EXPECT_EQ(ask(0, XS_DIRECTORY, "/d\0"s), "one\0two\0"s);
    EXPECT_EQ(ask(0, XS_DIRECTORY, "/e\0"s), "!ENOENT\0"s);
    EXPECT_EQ(ask(0, XS_DIRECTORY, "/\0"s), "d\0"s);
}

TEST_F(StoreServer, RemovalTakesTheSubtree) {
    ask(0, XS_WRITE, "/d/one\0a"s);
    ask(0, XS_WRITE, "/dd\0a"s);
    EXPECT_EQ(ask(0, XS_RM, "/d\0"s), "OK\0"s);
    EXPECT_EQ(ask(0, XS_READ, "/d/one\0"s), "!ENOENT\0"s);
    EXPECT_EQ(ask(0, XS_READ, "/dd\0"s), "a");
}

TEST_F(StoreServer, WatchesFireOnceAtFirstAndThenForEveryChangeBelow) {
    EXPECT_EQ(ask(5, XS_WATCH, "/w\0token\0"s), "OK\0"s);
    EXPECT_EQ(event(), "5:/w\0token\0"s);
    EXPECT_EQ(event(), "");
    ask(0, XS_WRITE, "/w/x\0a"s);
    EXPECT_EQ(event(), "5:/w\0token\0"s);  // the parent came into being
    EXPECT_EQ(event(), "5:/w/x\0token\0"s);
    ask(0, XS_WRITE, "/ww\0a"s);
    EXPECT_EQ(event(), "");
    EXPECT_EQ(ask(5, XS_WATCH, "/w\0token\0"s), "!EEXIST\0"s);
    EXPECT_EQ(ask(5, XS_UNWATCH, "/w\0token\0"s), "OK\0"s);
    ask(0, XS_WRITE, "/w/x\0b"s);
    EXPECT_EQ(event(), "");
    EXPECT_EQ(ask(5, XS_UNWATCH, "/w\0token\0"s), "!ENOENT\0"s);
}

TEST_F(StoreServer, BadRequestsAreRefused) {
    EXPECT_EQ(ask(0, XS_READ, ""), "!EINVAL\0"s);
    EXPECT_EQ(ask(0, XS_READ, "/a//b\0"s), "!EINVAL\0"s);
    EXPECT_EQ(ask(0, XS_READ, "/a/\0"s), "!EINVAL\0"s);
    EXPECT_EQ(ask(0, XS_WRITE, "/"s + std::string(200, 'a') + "\0x"s), "!EINVAL\0"s);
    EXPECT_EQ(ask(0, XS_WRITE, "/a\0"s + std::string(1000, 'x')), "!ENOSPC\0"s);
    EXPECT_EQ(ask(0, 99, "/a\0"s), "!ENOSYS\0"s);
    EXPECT_EQ(ask(0, XS_READ, "/a b\0"s), "!EINVAL\0"s);
}

TEST_F(StoreServer, AFullStoreSaysSoAndGoesOn) {
    std::string last;
    for (int i = 0; i < 300; ++i) last = ask(0, XS_WRITE, "/n" + std::to_string(i) + "\0v"s);
    EXPECT_EQ(last, "!ENOSPC\0"s);
    EXPECT_EQ(ask(0, XS_READ, "/n5\0"s), "v");
    EXPECT_EQ(ask(0, XS_RM, "/n5\0"s), "OK\0"s);
    EXPECT_EQ(ask(0, XS_WRITE, "/again\0v"s), "OK\0"s);
}

class StoreWire : public testing::Test {
   protected:
    alignas(4096) u8 page_[4096]{};
    xenstore_domain_interface& page = *reinterpret_cast<xenstore_domain_interface*>(page_);
};

TEST_F(StoreWire, MessagesComeTogetherOutOfPieces) {
    auto ring = requests_of(page);
    const Message m = message(XS_WRITE, "/a\0value"s);
    const auto* bytes = reinterpret_cast<const char*>(&m);
    Reader reader;
    const u32 whole = static_cast<u32>(sizeof m.head) + m.head.len;
    for (int round = 0; round < 200; ++round) {  // around the ring's end, too
        for (u32 i = 0; i < whole; ++i) {
            EXPECT_EQ(reader.pull(ring), Reader::State::more);
            ASSERT_EQ(ring.write(bytes + i, 1), 1u);
        }
        ASSERT_EQ(reader.pull(ring), Reader::State::complete);
        EXPECT_EQ(reader.message().payload(), (std::string_view{"/a\0value", 8}));
    }
}

TEST_F(StoreWire, TwoMessagesAtOnceStayTwo) {
    auto ring = requests_of(page);
    const Message a = message(XS_READ, "/a\0"s), b = message(XS_READ, "/bcd\0"s);
    ring.write(&a, static_cast<u32>(sizeof a.head) + a.head.len);
    ring.write(&b, static_cast<u32>(sizeof b.head) + b.head.len);
    Reader reader;
    ASSERT_EQ(reader.pull(ring), Reader::State::complete);
    EXPECT_EQ(reader.message().payload(), (std::string_view{"/a\0", 3}));
    ASSERT_EQ(reader.pull(ring), Reader::State::complete);
    EXPECT_EQ(reader.message().payload(), (std::string_view{"/bcd\0", 5}));
}

TEST_F(StoreWire, AFullRingTakesNoMore) {
    auto ring = responses_of(page);
    char bytes[2000] = {};
    EXPECT_EQ(ring.write(bytes, 2000), XENSTORE_RING_SIZE);
    EXPECT_EQ(ring.write(bytes, 1), 0u);
    EXPECT_EQ(ring.read(bytes, 100), 100u);
    EXPECT_EQ(ring.write(bytes, 2000), 100u);
}

TEST_F(StoreWire, NonsenseIndicesAndLengthsAreBroken) {
    auto ring = requests_of(page);
    page.req_prod = 5000;
    Reader reader;
    EXPECT_EQ(reader.pull(ring), Reader::State::broken);
    EXPECT_EQ(ring.room(), 0u);
    page.req_prod = 0;
    Message m = message(XS_READ, "");
    m.head.len = payload_max + 1;
    ring.write(&m.head, sizeof m.head);
    EXPECT_EQ(reader.pull(ring), Reader::State::broken);
}

}  // namespace
}  // namespace xylem::store
