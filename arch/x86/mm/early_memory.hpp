// SPDX-License-Identifier: MIT
// Memory before the frame allocator exists: RAM of the boot map minus what is in use.
#pragma once

#include <array>
#include <span>

#include "base/types.hpp"

namespace xylem {

class EarlyMemory {
   public:
    struct Range {
        u64 start = 0;
        u64 end = 0;
    };

    void add(u64 start, u64 end);      // machine bytes, RAM; whole pages inside are taken
    void reserve(u64 start, u64 end);  // in use; every page touched is taken out
    // Zeroed machine memory below `limit`, from the top down. Panics when there is none: nothing works without.
    Maddr allocate(u64 bytes, u64 alignment, u64 limit);
    std::span<const Range> free_ranges() const { return {ranges_.data(), count_}; }

   private:
    static constexpr usize capacity = 320;
    void insert(u64 start, u64 end);
    std::array<Range, capacity> ranges_{};
    usize count_ = 0;
};

}  // namespace xylem
