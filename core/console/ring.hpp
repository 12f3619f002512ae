// SPDX-License-Identifier: MIT
// The last text of the console, for `xl dmesg` [XEN_SYSCTL_readconsole]. Indexes count characters since start and wrap at 2^32.
// No lock of its own.
#pragma once

#include <span>
#include <string_view>

#include "base/types.hpp"

namespace xylem::console {

class ConsoleRing {
   public:
    constexpr ConsoleRing() = default;

    // Moves the text into `memory` and keeps as much of it as fits. The size must be a power of two up to 2^30; otherwise
    // nothing changes and the answer is false. `memory` stays in use until the next successful call.
    bool move_to(std::span<char> memory);

    // Appends; the oldest text gives way.
    void write(std::string_view text);

    // Where a reader starts: the oldest text still there, or, if incremental, `index` when newer than that.
    u32 first_index(bool incremental, u32 index) const;

    // Copies text from `index` on, moves `index` behind it (first forward over text that is lost) and tells how much it was.
    usize read(u32& index, std::span<char> out) const;

    // Forgets the text before `index`.
    void clear_to(u32 index);

    usize capacity() const { return memory_.size(); }

   private:
    // The oldest index a reader may use. `begin_` may lag behind by more than the capacity.
    u32 oldest() const;
    u32 mask() const { return static_cast<u32>(memory_.size()) - 1; }

    std::span<char> memory_;
    u32 begin_ = 0;  // text before it was cleared
    u32 end_ = 0;    // the next character's index
};

}  // namespace xylem::console
