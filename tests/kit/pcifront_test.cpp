// SPDX-License-Identifier: MIT
#include "guest/lib/pcifront.hpp"

#include <gtest/gtest.h>

#include "guest/lib/storm_guard.hpp"
#include "tests/kit/fake_kit.hpp"

namespace xylem {
namespace {

using fake::world;

TEST(PciPlace, IsReadAsTheStoreWritesIt) {
    EXPECT_EQ(parse_pci_place("0000:00:09.0"), (PciPlace{0, 0, 0x48}));
    EXPECT_EQ(parse_pci_place("0001:ff:1f.7"), (PciPlace{1, 0xff, 0xff}));
    for (const auto* text : {"", "0000", "0000:00:20.0", "0000:00:00.8", "0000:100:00.0", "00000:00:00.0", "0000:00:00.",
                             "0000:0g:00.0", "0000:00:00.0 ", "::.", "-001:00:00.0"})
        EXPECT_FALSE(parse_pci_place(text)) << text;
}

class Pcifront : public testing::Test {
   protected:
    void SetUp() override {
        fake::start_with("pci/0");
        world().store["/back/vdev-0"] = "0000:00:00.0";
    }
    pcifront::Bus& connect() {
        const auto b = pcifront::Bus::connect();
        EXPECT_TRUE(b);
        EXPECT_EQ(world().store["device/pci/0/magic"], "7");
        page = static_cast<xen_pci_sharedinfo*>(world().page(world().number("device/pci/0/pci-op-ref")));
        return **b;
    }
    void answer(i32 error, u32 value) {
        world().backend = [=, this] {
            if ((page->flags & 1) == 0) return;
            page->op.err = error;
            page->op.value = value;
            page->flags = 0;
        };
    }
    xen_pci_sharedinfo* page = nullptr;
};

TEST_F(Pcifront, AnAnswerIsCutToWhatWasAskedFor) {
    auto& bus = connect();
    const auto at = bus.device(0);
    ASSERT_TRUE(at);
    answer(XEN_PCI_ERR_success, 0x12345678);
    EXPECT_EQ(bus.read(*at, 0, 4), 0x12345678u);
    EXPECT_EQ(bus.read(*at, 0, 2), 0x5678u);
    EXPECT_EQ(bus.read(*at, 3, 1), 0x78u);
    EXPECT_EQ(page->op.offset, 3);
    EXPECT_TRUE(bus.write(*at, 4, 2, 6));
    EXPECT_EQ(page->op.cmd, u32{XEN_PCI_OP_conf_write});
}

TEST_F(Pcifront, ErrorsHaveNamesAndUnknownOnesAreErrors) {
    auto& bus = connect();
    answer(XEN_PCI_ERR_dev_not_found, 0);
    EXPECT_EQ(bus.read({}, 0, 4).error(), XEN_ENODEV);
    answer(XEN_PCI_ERR_access_denied, 0);
    EXPECT_EQ(bus.read({}, 0, 4).error(), XEN_EACCES);
    answer(12345, 0);
    EXPECT_EQ(bus.enable_msi({}).error(), XEN_EIO);
    EXPECT_EQ(bus.device(1).error(), XEN_ENOENT);
    world().store["/back/vdev-0"] = "here";
    EXPECT_EQ(bus.device(0).error(), XEN_EINVAL);
}

TEST_F(Pcifront, RegistersThatAreNoneAreNotAskedFor) {
    auto& bus = connect();
    for (const auto& [reg, bytes] : {std::pair{4096u, 4u}, {1u, 2u}, {2u, 4u}, {0u, 3u}, {0u, 0u}, {~3u, 4u}})
        EXPECT_EQ(bus.read({}, reg, bytes).error(), XEN_EINVAL) << reg << " " << bytes;
    EXPECT_EQ(world().notifications, 0u);
}

TEST_F(Pcifront, ABackendThatVanishesIsNotAskedAgain) {
    auto& bus = connect();
    EXPECT_EQ(bus.read({}, 0, 4).error(), XEN_ETIME);
    const u32 asked = world().notifications;
    EXPECT_EQ(bus.read({}, 0, 4).error(), XEN_EBUSY);
    EXPECT_EQ(world().notifications, asked);
}

TEST(StormGuard, OnlyTooManyWithinOneSecondAreAStorm) {
    constexpr Nanos second = 1'000'000'000;
    StormGuard guard;
    Nanos now = 5 * second;
    for (int i = 0; i < 100; ++i) EXPECT_FALSE(guard.is_storm(now += second / 10, 11)) << i;
    for (int i = 0; i < 10; ++i) (void)guard.is_storm(now, 11);
    EXPECT_TRUE(guard.is_storm(now, 11));
    EXPECT_FALSE(guard.is_storm(now + 2 * second, 11));
}

}  // namespace
}  // namespace xylem
