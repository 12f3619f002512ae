// SPDX-License-Identifier: MIT
#include "core/console/ring.hpp"

#include <algorithm>
#include <bit>

namespace xylem::console {

u32 ConsoleRing::oldest() const {
    const u32 size = static_cast<u32>(memory_.size());
    return end_ - begin_ > size ? end_ - size : begin_;
}

bool ConsoleRing::move_to(std::span<char> memory) {
    if (!std::has_single_bit(memory.size()) || memory.size() > usize{1} << 30) return false;
    ConsoleRing next;
    next.memory_ = memory;
    // Start so that the indexes readers hold keep their meaning.
    u32 from = oldest();
    if (end_ - from > memory.size()) from = end_ - static_cast<u32>(memory.size());
    next.begin_ = next.end_ = from;
    for (u32 i = from; i != end_; ++i) {
        const char c = memory_[i & mask()];
        next.write({&c, 1});
    }
    *this = next;
    return true;
}

void ConsoleRing::write(std::string_view text) {
    const usize size = memory_.size();
    if (size == 0) return;
    begin_ = oldest();  // keeps begin_ close, so that the difference never wraps
    if (text.size() > size) {
        end_ += static_cast<u32>(text.size() - size);
        text.remove_prefix(text.size() - size);
    }
    const usize at = end_ & mask();
    const usize first = std::min(text.size(), size - at);
    std::copy_n(text.data(), first, memory_.data() + at);
    std::copy_n(text.data() + first, text.size() - first, memory_.data());
    end_ += static_cast<u32>(text.size());
    begin_ = oldest();
}

u32 ConsoleRing::first_index(bool incremental, u32 index) const {
    const u32 start = oldest();
    // An index that is not between start and end is stale or invented.
    return incremental && index - start <= end_ - start ? index : start;
}

usize ConsoleRing::read(u32& index, std::span<char> out) const {
    index = first_index(true, index);
    const usize count = std::min<usize>(end_ - index, out.size());
    if (count == 0) return 0;
    const usize at = index & mask();
    const usize first = std::min(count, memory_.size() - at);
    std::copy_n(memory_.data() + at, first, out.data());
    std::copy_n(memory_.data(), count - first, out.data() + first);
    index += static_cast<u32>(count);
    return count;
}

void ConsoleRing::clear_to(u32 index) {
    begin_ = first_index(true, index);
}

}  // namespace xylem::console
