// SPDX-License-Identifier: MIT
#include "drivers/vga/text_mode.hpp"

#include "cpu/port_io.hpp"

namespace xylem::vga {
namespace {

constexpr u16 blank = 0x0720;  // grey on black
constexpr u32 cells = TextMode::frame_size / sizeof(u16);
constexpr u32 screen = TextMode::columns * TextMode::rows;

// CRT controller of a colour screen.
constexpr u16 crtc_index = 0x3d4;
constexpr u8 crtc_start_high = 0x0c;
constexpr u8 crtc_cursor_high = 0x0e;

// A pair of registers, high byte first; index and value go out in one 16-bit access.
void set_crtc(u8 high_register, u32 value) {
    cpu::out16(crtc_index, static_cast<u16>((value & 0xff00) | high_register));
    cpu::out16(crtc_index, static_cast<u16>((value & 0xff) << 8 | (high_register + 1u)));
}

}  // namespace

void TextMode::start(volatile u16* memory) {
    memory_ = memory;
    top_ = column_ = row_ = 0;
    shared_ = false;
    for (u32 row = 0; row < rows; ++row) clear_row(row * columns);
    set_start(0);
    set_cursor();
}

void TextMode::set_start(u32 cell) {
    top_ = cell;
    set_crtc(crtc_start_high, cell);
}

void TextMode::set_cursor() {
    set_crtc(crtc_cursor_high, top_ + row_ * columns + column_);
}

void TextMode::clear_row(u32 first_cell) {
    for (u32 i = 0; i < columns; ++i) memory_[first_cell + i] = blank;
}

void TextMode::move_to_top(u32 from_cell, u32 count) {
    for (u32 i = 0; i < count; ++i) memory_[i] = memory_[from_cell + i];
}

void TextMode::next_line() {
    column_ = 0;
    if (row_ + 1 < rows) {
        ++row_;
        return;
    }
    if (shared_) {
        for (u32 i = 0; i < screen - columns; ++i) memory_[i] = memory_[i + columns];
    } else if (top_ + columns + screen <= cells) {
        set_start(top_ + columns);
    } else {
        move_to_top(top_ + columns, screen - columns);
        set_start(0);
    }
    clear_row(top_ + screen - columns);
}

void TextMode::put(char c) {
    if (c == '\n') return next_line();
    if (c == '\r') {
        column_ = 0;
        return;
    }
    if (c == '\t') {
        do put(' ');
        while (column_ % 8 != 0);
        return;
    }
    if (c < ' ' && c >= 0) return;
    if (column_ == columns) next_line();
    memory_[top_ + row_ * columns + column_++] = static_cast<u16>((blank & 0xff00) | static_cast<u8>(c));
}

void TextMode::write(std::string_view text) {
    if (memory_ == nullptr) return;
    for (const char c : text) put(c);
}

void TextMode::relinquish(bool keep) {
    if (memory_ == nullptr) return;
    if (top_ != 0) move_to_top(top_, screen);
    set_start(0);
    if (column_ == columns) next_line();
    set_cursor();
    shared_ = true;
    if (!keep) memory_ = nullptr;
}

}  // namespace xylem::vga
