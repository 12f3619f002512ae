// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <string>

#include "abi/errno.hpp"
#include "cpu/port_io.hpp"
#include "drivers/uart/uart16550.hpp"

using namespace xylem;
using namespace xylem::uart;

namespace {

// A 16550 at 0x3f8 that drains at once unless it is stuck, and fails the test when its FIFO overflows.
struct FakeChip final : cpu::HostPortBus {
    bool has_fifo = true;
    bool has_scratch = true;
    bool stuck = false;
    u8 registers[8] = {};
    u16 divisor = 12;
    std::string sent;
    std::string typed;
    unsigned queued = 0;
    unsigned status_reads = 0;

    FakeChip() { cpu::host_port_bus = this; }
    ~FakeChip() { cpu::host_port_bus = nullptr; }
    bool divisor_open() const { return (registers[3] & 0x80) != 0; }

    u32 in(u16 port, unsigned size) override {
        EXPECT_EQ(size, 1u);
        if (port < 0x3f8 || port > 0x3ff) return 0xff;
        switch (port - 0x3f8) {
            case 0: {
                if (divisor_open()) return divisor & 0xff;
                if (typed.empty()) return 0;
                const char c = typed.front();
                typed.erase(0, 1);
                return static_cast<u8>(c);
            }
            case 1: return divisor_open() ? divisor >> 8 : registers[1];
            case 2: return has_fifo && (registers[2] & 1) != 0 ? 0xc1 : 0x01;
            case 5:
                ++status_reads;
                if (!stuck) queued = 0;
                return (queued == 0 ? 0x60u : 0u) | (typed.empty() ? 0u : 1u);
            case 6: return (registers[4] & 0x1f) == 0x1a ? 0x90 : 0xb0;
            case 7: return has_scratch ? registers[7] : 0xff;
            default: return registers[port - 0x3f8];
        }
    }
    void out(u16 port, u32 value, unsigned size) override {
        EXPECT_EQ(size, 1u);
        if (port < 0x3f8 || port > 0x3ff) return;
        const unsigned reg = port - 0x3f8u;
        if (reg == 0 && divisor_open()) {
            divisor = static_cast<u16>((divisor & 0xff00) | value);
        } else if (reg == 1 && divisor_open()) {
            divisor = static_cast<u16>((divisor & 0xff) | value << 8);
        } else if (reg == 0) {
            EXPECT_LE(++queued, has_fifo ? 16u : 1u) << "overflow";
            sent += static_cast<char>(value);
        } else {
            registers[reg] = static_cast<u8>(value);
        }
    }
};

TEST(Uart, AutoKeepsTheFirmwaresSpeed) {
    FakeChip chip;
    Uart16550 uart;
    ASSERT_TRUE(uart.start(com1_defaults, "com1"));
    EXPECT_EQ(chip.divisor, 12);
    EXPECT_EQ(chip.registers[3], 0x03);
    EXPECT_EQ(chip.registers[1], 0);
    chip.divisor = 0;
    ASSERT_TRUE(uart.start(com1_defaults, "com1"));
    EXPECT_EQ(chip.divisor, 1) << "never set: 115200";
}

TEST(Uart, ConfigIsProgrammed) {
    FakeChip chip;
    Uart16550 uart;
    Config config = com1_defaults;
    ASSERT_TRUE(parse_config("9600,7e2,0x3f8,4", config));
    ASSERT_TRUE(uart.start(config, "com1"));
    EXPECT_EQ(chip.divisor, 12);
    EXPECT_EQ(chip.registers[3], 0x1e);
    uart.enable_receive_interrupt();
    EXPECT_EQ(chip.registers[1], 1);
    EXPECT_EQ(chip.registers[4] & 0x08, 0x08);
}

TEST(Uart, AbsentPortIsAnError) {
    Uart16550 uart;
    EXPECT_EQ(uart.start(com1_defaults, "com1").error(), XEN_ENODEV);  // no bus: ones
    FakeChip chip;
    EXPECT_EQ(uart.start(com2_defaults, "com2").error(), XEN_ENODEV);
    uart.write("nothing happens");
    char c;
    EXPECT_EQ(uart.receive({&c, 1}), 0u);
    EXPECT_FALSE(uart.is_started());
    EXPECT_EQ(chip.sent, "");
}

TEST(Uart, ChipWithoutScratchIsFoundByLoopback) {
    FakeChip chip;
    chip.has_scratch = false;
    chip.has_fifo = false;
    Uart16550 uart;
    ASSERT_TRUE(uart.start(com1_defaults, "com1"));
    uart.write("ok\n");
    EXPECT_EQ(chip.sent, "ok\r\n");
}

TEST(Uart, OneStatusReadPerSixteenBytes) {
    FakeChip chip;
    Uart16550 uart;
    ASSERT_TRUE(uart.start(com1_defaults, "com1"));
    chip.status_reads = 0;
    for (int i = 0; i < 16; ++i) uart.write("0123456789");
    EXPECT_EQ(chip.sent.size(), 160u);
    EXPECT_EQ(chip.status_reads, 10u);
}

TEST(Uart, LineEnds) {
    FakeChip chip;
    Uart16550 uart;
    ASSERT_TRUE(uart.start(com1_defaults, "com1"));
    uart.write("a\n\nb\r\nc\r");
    uart.write("\nd");
    EXPECT_EQ(chip.sent, "a\r\n\r\nb\r\nc\r\nd");
}

TEST(Uart, StuckPortDropsAndRecovers) {
    FakeChip chip;
    Uart16550 uart;
    ASSERT_TRUE(uart.start(com1_defaults, "com1"));
    chip.stuck = true;
    chip.queued = 1;
    uart.write("lost");
    EXPECT_GT(chip.status_reads, 1000u);
    chip.status_reads = 0;
    uart.write("lost, too");
    EXPECT_EQ(chip.status_reads, 1u) << "waits only once";
    EXPECT_EQ(chip.sent, "");
    chip.stuck = false;
    uart.write("back\n");
    EXPECT_EQ(chip.sent, "back\r\n");
}

TEST(Uart, Receives) {
    FakeChip chip;
    Uart16550 uart;
    ASSERT_TRUE(uart.start(com1_defaults, "com1"));
    chip.typed = "hello";
    char text[4];
    EXPECT_EQ(uart.receive(text), 4u);
    EXPECT_EQ(std::string(text, 4), "hell");
    EXPECT_EQ(uart.receive(text), 1u);
    EXPECT_EQ(uart.receive(text), 0u);
}

TEST(UartConfig, Parse) {
    Config config = com1_defaults;
    EXPECT_TRUE(parse_config("115200,8n1,0x2f8,3", config));
    EXPECT_EQ(config, (Config{.baud = 115200, .io_base = 0x2f8, .irq = 3, .given = true}));
    EXPECT_TRUE(parse_config("auto", config));
    EXPECT_EQ(config.baud, 0u);
    EXPECT_TRUE(parse_config("38400/921600,,,0", config));
    EXPECT_EQ(config.clock_hz, 14'745'600u);
    EXPECT_EQ(config.irq, 0);
    EXPECT_EQ(config.io_base, 0x2f8);
    EXPECT_TRUE(parse_config("baud=19200,parity=o,io-base=0x3e8,irq=10,data-bits=7,stop-bits=2", config));
    EXPECT_EQ(config.baud, 19200u);
    EXPECT_EQ(config.parity, Parity::odd);
    EXPECT_EQ(config.io_base, 0x3e8);
    const Config before = config;
    for (const char* bad : {"", "fast", "115200,9n1", "115200,8x1", "115200,8n1,pci", "115200,8n1,0x3f8,16", "100",
                            "115200,8n1,0x3f8,4,5", "115200,8n1,0,4", "speed=1", "115200,8n1,0xffff"})
        EXPECT_FALSE(parse_config(bad, config)) << bad;
    EXPECT_EQ(config, before);
}

}  // namespace
