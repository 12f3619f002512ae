// SPDX-License-Identifier: MIT
// Memory for the decompressors' tables: handed out in order, taken back all at once.
#pragma once

#include <span>

#include "base/types.hpp"

namespace xylem::image {

class Scratch {
   public:
    // `area` must outlive the object; its contents need not be zero.
    explicit Scratch(std::span<u8> area) : area_(area) {}

    // `size` bytes on a 64-byte boundary, or nullptr when the area is used up. Freeing single pieces is not possible.
    void* take(u64 size) {
        const u64 base = reinterpret_cast<u64>(area_.data());
        const u64 at = align_up<u64>(base + used_, alignment) - base;
        if (!range_fits(at, size, area_.size())) return nullptr;
        used_ = at + size;
        return area_.data() + at;
    }
    // All that is left, on a 64-byte boundary.
    std::span<u8> take_rest() {
        if (take(0) == nullptr) return {};
        const auto rest = area_.subspan(used_);
        used_ = area_.size();
        return rest;
    }
    void reset() { used_ = 0; }

   private:
    static constexpr u64 alignment = 64;
    std::span<u8> area_;
    u64 used_ = 0;
};

}  // namespace xylem::image
