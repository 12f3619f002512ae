// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <set>

#include "arch/x86/irqchip/vectors.hpp"
#include "hw/x86/apic.hpp"
#include "hw/x86/msi.hpp"

namespace xylem {
namespace {

TEST(MsiMessage, Message) {
    const hw::MsiMessage message = hw::compose_msi(3, 0x41);
    EXPECT_EQ(message, (hw::MsiMessage{0xfee0'3000, 0, 0x41}));
    EXPECT_EQ(hw::vector_of(message), 0x41);
}

TEST(IoApicEntry, Layout) {
    using namespace hw::io_apic;
    EXPECT_EQ(compose_entry(0x31, 2, isa_mode, false), (Entry{0x31, 2U << 24}));
    EXPECT_EQ(compose_entry(0x31, 2, pci_mode, true), (Entry{0x1'a031, 2U << 24}));
    EXPECT_EQ(pins_of(0x0017'0020), 24u);
}

TEST(Vectors, EachOnceAndNoneOfOthers) {
    irqchip::VectorAllocator vectors;
    std::set<u8> seen;
    while (const auto vector = vectors.allocate()) {
        EXPECT_GE(*vector, irqchip::first_device_vector);
        EXPECT_LE(*vector, irqchip::last_device_vector);
        EXPECT_NE(*vector, irqchip::guest_syscall_vector);
        EXPECT_TRUE(seen.insert(*vector).second);
    }
    EXPECT_EQ(seen.size(), 0xf0u - 0x30u - 1u);
    vectors.release(0x55);
    EXPECT_EQ(vectors.allocate(), 0x55);
    EXPECT_FALSE(vectors.allocate());
}

TEST(Vectors, NeighboursAreOfDifferentPriorities) {
    irqchip::VectorAllocator vectors;
    const u8 first = *vectors.allocate();
    EXPECT_NE(first >> 4, *vectors.allocate() >> 4);
}

TEST(Vectors, Blocks) {
    irqchip::VectorAllocator vectors;
    EXPECT_EQ(vectors.allocate(), 0x30);
    EXPECT_EQ(vectors.allocate_block(4), 0x34);
    EXPECT_EQ(vectors.allocate_block(32), 0x40);
    EXPECT_EQ(vectors.allocate_block(32), 0x60);
    EXPECT_EQ(vectors.allocate_block(32), 0xa0) << "0x80 is the guests'";
    EXPECT_EQ(vectors.allocate_block(32), 0xc0);
    EXPECT_FALSE(vectors.allocate_block(32));
    EXPECT_EQ(vectors.allocate_block(16), 0x90);
}

}  // namespace
}  // namespace xylem
