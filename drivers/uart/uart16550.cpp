// SPDX-License-Identifier: MIT
#include "drivers/uart/uart16550.hpp"

#include <algorithm>

#include "abi/errno.hpp"
#include "base/log.hpp"
#include "cpu/port_io.hpp"

namespace xylem::uart {
namespace {

// Registers by offset from the base.
constexpr u16 reg_data = 0;              // receive and transmit
constexpr u16 reg_interrupt_enable = 1;  // bit 0: received data
constexpr u16 reg_divisor_low = 0;       // these two while the line control's divisor bit is set
constexpr u16 reg_divisor_high = 1;
constexpr u16 reg_fifo_control = 2;  // write
constexpr u16 reg_interrupt_id = 2;  // read
constexpr u16 reg_line_control = 3;
constexpr u16 reg_modem_control = 4;
constexpr u16 reg_line_status = 5;
constexpr u16 reg_modem_status = 6;
constexpr u16 reg_scratch = 7;

constexpr u8 fifo_on = 0x01;
constexpr u8 fifo_clear_receive = 0x02;
constexpr u8 fifo_trigger_8 = 0x80;
constexpr u8 interrupt_id_fifo_works = 0xc0;
constexpr u8 line_divisor = 0x80;
constexpr u8 modem_dtr_rts = 0x03;
constexpr u8 modem_rts = 0x02;
constexpr u8 modem_out2 = 0x08;  // on a PC: connects the chip to its interrupt line
constexpr u8 modem_loop = 0x10;
constexpr u8 status_data_ready = 0x01;
constexpr u8 status_transmit_empty = 0x20;
constexpr u8 fifo_depth = 16;

// One port access takes about a microsecond on a PC.
constexpr u32 max_polls = 1'000'000;

}  // namespace

bool Uart16550::probe() const {
    // An unused address reads as ones; a chip's line status has bit 7 clear unless a character came in broken.
    if (cpu::in8(base_ + reg_line_status) == 0xff) return false;
    const auto scratch_holds = [this](u8 value) {
        cpu::out8(base_ + reg_scratch, value);
        return cpu::in8(base_ + reg_scratch) == value;
    };
    if (scratch_holds(0x5a) && scratch_holds(0xa5)) return true;
    // Some chips have no scratch register: in loopback RTS and OUT2 come back as CTS and DCD.
    const u8 modem = cpu::in8(base_ + reg_modem_control);
    cpu::out8(base_ + reg_modem_control, modem_loop | modem_rts | modem_out2);
    const u8 answer = cpu::in8(base_ + reg_modem_status);
    cpu::out8(base_ + reg_modem_control, modem);
    return (answer & 0xf0) == 0x90;
}

void Uart16550::set_line(const Config& config) {
    constexpr u8 parity_bits[] = {0x00, 0x08, 0x18, 0x28, 0x38};
    const u8 stop = config.stop_bits == 2 ? 0x04 : 0x00;
    const u8 line = static_cast<u8>((config.data_bits - 5) | stop | parity_bits[static_cast<u8>(config.parity)]);
    cpu::out8(base_ + reg_line_control, line | line_divisor);
    u32 divisor = cpu::in8(base_ + reg_divisor_low) | static_cast<u32>(cpu::in8(base_ + reg_divisor_high)) << 8;
    if (config.baud != 0) divisor = (config.clock_hz / 16 + config.baud / 2) / config.baud;
    if (divisor == 0) divisor = 1;  // the firmware has set nothing: the fastest, 115200 on a PC
    divisor = std::min<u32>(divisor, 0xffff);
    cpu::out8(base_ + reg_divisor_low, static_cast<u8>(divisor));
    cpu::out8(base_ + reg_divisor_high, static_cast<u8>(divisor >> 8));
    cpu::out8(base_ + reg_line_control, line);
}

Result<void> Uart16550::start(const Config& config, std::string_view name) {
    base_ = config.io_base;
    if (base_ == 0 || !probe()) {
        base_ = 0;
        if (config.given) {
            log::warning("{}: no UART answers at I/O port {:#x}; not used. Check {}= and the firmware's serial port setting",
                         name, config.io_base, name);
        }
        return fail(XEN_ENODEV);
    }
    irq_ = config.irq;
    cpu::out8(base_ + reg_interrupt_enable, 0);
    set_line(config);
    // The transmit FIFO is not cleared: the boot loader's last words may still be in it.
    cpu::out8(base_ + reg_fifo_control, fifo_on | fifo_clear_receive | fifo_trigger_8);
    const u8 id = cpu::in8(base_ + reg_interrupt_id);
    depth_ = (id & interrupt_id_fifo_works) == interrupt_id_fifo_works ? fifo_depth : 1;
    cpu::out8(base_ + reg_modem_control, modem_dtr_rts | modem_out2);
    room_ = 0;
    stuck_ = false;
    after_return_ = false;
    log::info("{}: 16550 at I/O port {:#x}, {}, FIFO {}", name, base_, irq_ != 0 ? "interrupt" : "polled", depth_ > 1);
    return {};
}

bool Uart16550::wait_for_room() {
    for (u32 polls = stuck_ ? max_polls : 0;; ++polls) {
        if ((cpu::in8(base_ + reg_line_status) & status_transmit_empty) != 0) break;
        if (polls >= max_polls) {
            stuck_ = true;
            return false;
        }
    }
    stuck_ = false;
    room_ = depth_;
    return true;
}

void Uart16550::send(std::string_view text) {
    while (!text.empty()) {
        if (room_ == 0 && !wait_for_room()) return;
        const usize count = std::min<usize>(text.size(), room_);
        cpu::out8_run(base_ + reg_data, text.data(), count);
        room_ = static_cast<u8>(room_ - count);
        text.remove_prefix(count);
    }
}

void Uart16550::write(std::string_view text) {
    if (base_ == 0) return;
    while (!text.empty()) {
        const usize end = text.find('\n');
        const std::string_view part = text.substr(0, end);
        send(part);
        if (!part.empty()) after_return_ = part.back() == '\r';
        if (end == std::string_view::npos) return;
        send(after_return_ ? "\n" : "\r\n");
        after_return_ = false;
        text.remove_prefix(end + 1);
    }
}

usize Uart16550::receive(std::span<char> out) {
    if (base_ == 0) return 0;
    usize count = 0;
    while (count < out.size()) {
        const u8 status = cpu::in8(base_ + reg_line_status);
        if (status == 0xff || (status & status_data_ready) == 0) break;
        out[count++] = static_cast<char>(cpu::in8(base_ + reg_data));
    }
    return count;
}

void Uart16550::enable_receive_interrupt() {
    if (base_ != 0 && irq_ != 0) cpu::out8(base_ + reg_interrupt_enable, 0x01);
}

}  // namespace xylem::uart
