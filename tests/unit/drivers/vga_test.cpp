// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cpu/port_io.hpp"
#include "drivers/vga/text_mode.hpp"

using namespace xylem;
using xylem::vga::TextMode;

namespace {

struct FakeScreen final : cpu::HostPortBus {
    u8 crtc[32] = {};
    std::vector<u16> memory = std::vector<u16>(TextMode::frame_size / 2);  // ASan watches both ends

    FakeScreen() { cpu::host_port_bus = this; }
    ~FakeScreen() { cpu::host_port_bus = nullptr; }
    u32 in(u16, unsigned) override { return 0xff; }
    void out(u16 port, u32 value, unsigned size) override {
        ASSERT_EQ(port, 0x3d4);
        ASSERT_EQ(size, 2u);
        crtc[value & 31] = static_cast<u8>(value >> 8);
    }
    u32 start() const { return static_cast<u32>(crtc[12] << 8 | crtc[13]); }
    u32 cursor() const { return static_cast<u32>(crtc[14] << 8 | crtc[15]); }
    std::string row(u32 n) const {
        std::string text;
        for (u32 i = 0; i < TextMode::columns; ++i) text += static_cast<char>(memory[start() + n * TextMode::columns + i]);
        return text.substr(0, text.find_last_not_of(' ') + 1);
    }
};

TEST(Vga, WritesAndScrolls) {
    FakeScreen screen;
    TextMode vga;
    vga.write("before start");
    vga.start(screen.memory.data());
    vga.write("one\ntwo\r\n\tx");
    EXPECT_EQ(screen.row(0), "one");
    EXPECT_EQ(screen.row(1), "two");
    EXPECT_EQ(screen.row(2), "        x");
    for (int i = 0; i < 1000; ++i) {
        vga.write("\nline " + std::to_string(i));
        if (i < 30) continue;
        for (u32 row = 0; row < 25; ++row) ASSERT_EQ(screen.row(row), "line " + std::to_string(i - 24 + static_cast<int>(row)));
    }
}

TEST(Vga, LongLinesWrap) {
    FakeScreen screen;
    TextMode vga;
    vga.start(screen.memory.data());
    vga.write(std::string(80, 'a') + "\n" + std::string(81, 'b'));
    EXPECT_EQ(screen.row(1), std::string(80, 'b'));
    EXPECT_EQ(screen.row(2), "b");
}

TEST(Vga, RelinquishMovesThePictureHome) {
    for (const bool keep : {false, true}) {
        FakeScreen screen;
        TextMode vga;
        vga.start(screen.memory.data());
        for (int i = 0; i < 60; ++i) vga.write("line " + std::to_string(i) + "\n");
        EXPECT_NE(screen.start(), 0u);
        vga.relinquish(keep);
        EXPECT_EQ(screen.start(), 0u);
        EXPECT_EQ(screen.row(0), "line 36");
        EXPECT_EQ(screen.cursor(), 24u * 80);
        EXPECT_EQ(vga.cursor_row(), 24u);
        vga.write("more\n");
        EXPECT_EQ(screen.start(), 0u);
        EXPECT_EQ(screen.row(23), keep ? "more" : "line 59");
    }
}

}  // namespace
