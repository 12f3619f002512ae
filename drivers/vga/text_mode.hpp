// SPDX-License-Identifier: MIT
// The VGA text screen, 80 columns by 25 rows. Scrolling moves the start of the picture through the 32 KiB of text memory, so a
// line costs one row; everything is copied to the top only when the memory's end is reached.
#pragma once

#include <string_view>

#include "base/types.hpp"
#include "core/console/device.hpp"

namespace xylem::vga {

class TextMode final : public console::ConsoleDevice {
   public:
    static constexpr u32 columns = 80;
    static constexpr u32 rows = 25;
    static constexpr u64 frame_address = 0xb8000;  // machine address of the text memory
    static constexpr u64 frame_size = 32 * kib;

    constexpr TextMode() = default;

    // `memory` maps `frame_size` bytes at `frame_address`, uncached or write-combining. Clears the screen. The machine must be in
    // colour text mode (init knows from the boot loader); nothing here can find out.
    void start(volatile u16* memory);

    void write(std::string_view text) override;

    // dom0 takes the screen over: moves the picture to the start of the memory, where dom0's driver expects it, and the cursor
    // behind the text. With `keep` (vga=keep) printing goes on, sharing the screen; otherwise write() does nothing from now on.
    // Takes no lock: remove the device from the console before, and add it again (without replay) to keep it.
    void relinquish(bool keep);

    // For dom0's console information: where the cursor is.
    u32 cursor_column() const { return column_; }
    u32 cursor_row() const { return row_; }

   private:
    void put(char c);
    void next_line();
    void clear_row(u32 first_cell);
    void move_to_top(u32 from_cell, u32 count);
    void set_start(u32 cell);
    void set_cursor();

    volatile u16* memory_ = nullptr;  // null: not started, or given up
    u32 top_ = 0;                     // cell in the upper left corner
    u32 column_ = 0;
    u32 row_ = 0;
    bool shared_ = false;  // dom0 uses the screen, too: the picture stays where it is
};

}  // namespace xylem::vga
