// SPDX-License-Identifier: MIT
#include "arch/x86/irqchip/legacy_pic.hpp"

#include "arch/x86/irqchip/vectors.hpp"
#include "cpu/port_io.hpp"

namespace xylem::irqchip {

namespace {

constexpr u16 master_command = 0x20;
constexpr u16 master_data = 0x21;
constexpr u16 slave_command = 0xa0;
constexpr u16 slave_data = 0xa1;

constexpr u8 initialise_with_word4 = 0x11;
constexpr u8 mode_8086 = 0x01;
constexpr u8 slave_input = 2;
constexpr u8 all_masked = 0xff;

}  // namespace

// Even a masked 8259 can raise its spurious interrupt, and at power-on that would look like exception 15: hence the move.
void silence_legacy_pic() {
    cpu::out8(master_data, all_masked);
    cpu::out8(slave_data, all_masked);
    cpu::out8(master_command, initialise_with_word4);
    cpu::out8(slave_command, initialise_with_word4);
    cpu::out8(master_data, legacy_pic_vector);
    cpu::out8(slave_data, legacy_pic_vector + 8);
    cpu::out8(master_data, 1U << slave_input);
    cpu::out8(slave_data, slave_input);
    cpu::out8(master_data, mode_8086);
    cpu::out8(slave_data, mode_8086);
    cpu::out8(master_data, all_masked);
    cpu::out8(slave_data, all_masked);
}

}  // namespace xylem::irqchip
