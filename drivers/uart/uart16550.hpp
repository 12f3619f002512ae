// SPDX-License-Identifier: MIT
// The 16550 serial port behind I/O ports [PC16550D data sheet, 8]. Transmit is polled and uses the FIFO: one look at the line
// status per sixteen bytes. Receive is by interrupt or by polling.
#pragma once

#include <span>
#include <string_view>

#include "base/result.hpp"
#include "base/types.hpp"
#include "core/console/device.hpp"
#include "drivers/uart/config.hpp"

namespace xylem::uart {

class Uart16550 final : public console::ConsoleDevice {
   public:
    constexpr Uart16550() = default;

    // Looks for the chip, sets it up (interrupts off) and logs what was found as `name` ("com1"). XEN_ENODEV if nothing answers.
    // Not after the port is a console device (it logs).
    Result<void> start(const Config& config, std::string_view name);

    // Sends the text with '\r' before each '\n' that has none (Linux's hvc console brings its own). Waits at most about a second
    // for a port that does not drain, then drops text until the port works again.
    void write(std::string_view text) override;

    // Copies the received characters, at most out.size(); never waits. From the interrupt or a timer, one caller at a time;
    // may run while another CPU writes. Call again while the answer is out.size(): the interrupt stays up until all are read.
    usize receive(std::span<char> out);

    // Lets the chip interrupt on received characters. After the interrupt's handler is in place.
    void enable_receive_interrupt();

    bool is_started() const { return base_ != 0; }
    u16 io_base() const { return base_; }
    static constexpr u16 port_count = 8;  // dom0 must not get these
    u8 irq() const { return irq_; }       // 0: poll

   private:
    bool probe() const;
    void set_line(const Config& config);
    void send(std::string_view text);
    bool wait_for_room();

    u16 base_ = 0;
    u8 irq_ = 0;
    u8 depth_ = 1;               // bytes the transmitter takes when it says it is empty
    u8 room_ = 0;                // bytes it takes now for sure
    bool after_return_ = false;  // the last character was '\r'
    bool stuck_ = false;         // it did not drain: do not wait again until it does
};

}  // namespace xylem::uart
