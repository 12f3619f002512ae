// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "abi/xen.hpp"
#include "core/recorder/describe.hpp"
#include "core/recorder/kept.hpp"

using namespace xylem;
using namespace xylem::recorder;

namespace {

const char* hypercall_name(u64 number) {
    return number == 17 ? "xen_version" : "?";
}
const char* vector_name(u64 vector) {
    return vector == 14 ? "page fault" : vector == 0xfb ? "timer" : "?";
}

std::string text_of(const Event& e, Clock clock = {}) {
    text::FixedText<256> line;
    describe(line, e, {hypercall_name, vector_name}, clock);
    EXPECT_FALSE(line.truncated());
    return std::string(line.view());
}
std::string trimmed(const Event& e) {
    const std::string s = text_of(e);
    return s.substr(s.find_first_not_of(' '));
}

struct Range {
    u64 start, end;
};

TEST(Recorder, NewestEventsInOrder) {
    auto ring = std::make_unique<Ring>();
    Event room[4];
    EXPECT_TRUE(newest(*ring, room).empty());
    for (u64 i = 0; i < 3; ++i) ring->record({17, i});
    auto seen = newest(*ring, room);
    ASSERT_EQ(seen.size(), 3u);
    EXPECT_EQ(seen[0].value, 0u);
    EXPECT_EQ(seen[2].value, 2u);
}

TEST(Recorder, WrapsAround) {
    auto ring = std::make_unique<Ring>();
    const u64 total = 3 * Ring::capacity + 2;
    for (u64 i = 0; i < total; ++i) ring->record({17, i});
    Event room[4];
    auto seen = newest(*ring, room);
    ASSERT_EQ(seen.size(), 4u);
    for (u64 i = 0; i < 4; ++i) EXPECT_EQ(seen[i].value, total - 4 + i);
    std::vector<Event> large(Ring::capacity + 100);
    seen = newest(*ring, large);
    ASSERT_EQ(seen.size(), Ring::capacity);
    EXPECT_EQ(seen[0].value, total - Ring::capacity);
}

TEST(Recorder, Texts) {
    EXPECT_EQ(trimmed({17, 6}), "hypercall 17 xen_version (0x6)");
    EXPECT_EQ(trimmed(Event::make(Kind::multicall, 0, 17, 6)), "in multicall: 17 xen_version (0x6)");
    EXPECT_EQ(trimmed(Event::make(Kind::trap, 14, 0xffff'ffff'8123'4567, 0x10)), "trap 14 page fault at ffffffff81234567 (0x10)");
    EXPECT_EQ(trimmed(Event::make(Kind::trap, 14, 0x0000'7fff'8123'4567, 0x10)), "trap 14 page fault at 7fff81234567 (0x10)");
    EXPECT_EQ(trimmed(Event::run(DomId(3), VcpuId(2), 0)), "0 run d3v2");
    EXPECT_EQ(trimmed(Event::run(domid_idle, VcpuId(2), 0)), "0 idle");
    EXPECT_EQ(trimmed(Event::make(Kind::interrupt, 0xfb, 0xffff'8180'0000'0001, 0)),
              "0 interrupt 0xfb timer at ffff818000000001");
    EXPECT_EQ(trimmed(Event::make(Kind::stop, 0, 0, 0)), "0 Xylem stops");
    EXPECT_EQ(trimmed(Event::make(static_cast<Kind>(200), 1, 2, 3)), "unreadable: c801000000000002 0000000000000003");
}

TEST(Recorder, TimesAreRelative) {
    const Event e = Event::run(DomId(0), VcpuId(0), 1'000'000);
    EXPECT_EQ(text_of(e, {1'012'345, 1'000'000}), "         12.3 us run d0v0");
    EXPECT_EQ(text_of(e, {1'012'345, 0}), "           12345 run d0v0") << "the rate is unknown: ticks";
    EXPECT_EQ(text_of(e, {999'999, 1'000'000}), "             now run d0v0") << "another CPU's clock is a little ahead";
    EXPECT_EQ(text_of(Event::run(DomId(0), VcpuId(0), 0), {INT64_MAX, 1}), "9223372036854775807 run d0v0")
        << "no product overflows";
}

TEST(Recorder, NewestTime) {
    auto ring = std::make_unique<Ring>();
    EXPECT_EQ(newest_time(*ring), 0u);
    ring->record(Event::run(DomId(0), VcpuId(0), 5));
    ring->record(Event::run(DomId(0), VcpuId(0), 7));
    ring->record({17, 1000});
    EXPECT_EQ(newest_time(*ring), 7u);
}

TEST(Recorder, HeaderTellsHowItEnded) {
    Header h;
    EXPECT_FALSE(ended_badly(h)) << "fresh memory";
    write_header(h, 2, 3'000'000);
    note_reason(h, "page fault");
    EXPECT_TRUE(ended_badly(h));
    EXPECT_EQ(reason_of(h), "page fault");
    h.state = Header::ended;
    EXPECT_FALSE(ended_badly(h));
    write_header(h, KeptMemory::ring_count, 0);
    EXPECT_TRUE(ended_badly(h));
    write_header(h, KeptMemory::ring_count + 1, 0);
    EXPECT_FALSE(ended_badly(h)) << "more rings than there are";
}

TEST(Recorder, EveryBitOfTheHeaderCounts) {
    Header good;
    write_header(good, 2, 3'000'000);
    for (usize bit = 0; bit < 8 * offsetof(Header, reason); ++bit) {
        Header h = good;
        reinterpret_cast<u8*>(&h)[bit / 8] ^= static_cast<u8>(1U << (bit % 8));
        EXPECT_FALSE(ended_badly(h)) << "bit " << bit;
    }
}

TEST(Recorder, ReasonIsCutAndCleaned) {
    Header h;
    note_reason(h, std::string(1000, 'x'));
    EXPECT_EQ(reason_of(h).size(), sizeof h.reason - 1);
    std::memset(h.reason, 'y', sizeof h.reason);
    EXPECT_EQ(reason_of(h).size(), sizeof h.reason) << "no end in it";
    h.reason[3] = '\x1b';
    EXPECT_EQ(reason_of(h), "yyy");
}

TEST(Recorder, AnyMemoryCanBeRead) {
    std::mt19937_64 random(7);
    auto ring = std::make_unique<Ring>();
    std::vector<Event> room(Ring::capacity);
    for (unsigned round = 0; round < 20; ++round) {
        for (Event& e : ring->events) e = {random() >> (round % 2 == 0 ? 0 : 5), random()};
        ring->written.store(random());
        const Clock clock{newest_time(*ring), random() >> (random() % 64)};
        for (const Event& e : newest(*ring, room)) text_of(e, clock);
    }
}

TEST(Recorder, PlaceOfTheKeptMemory) {
    const std::vector<Range> whole{{mib, 0x7ffd'8000}};
    EXPECT_EQ(place_for_kept_memory(whole, 0x7ffd'8000), gib);
    EXPECT_EQ(place_for_kept_memory(whole, 0x7fee'0000), gib) << "the map's end may differ a little";
    const std::vector<Range> taken{{mib, gib}, {gib + mib / 4, 0x7ffd'8000}};
    EXPECT_EQ(place_for_kept_memory(taken, 0x7ffd'8000), 5 * gib / 4) << "something lies in the middle";
    const std::vector<Range> small{{mib, 2 * mib}};
    EXPECT_EQ(place_for_kept_memory(small, 2 * mib), 0u);
    EXPECT_EQ(place_for_kept_memory(std::vector<Range>{}, 0), 0u);
}

}  // namespace
