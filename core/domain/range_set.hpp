// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>

#include "abi/errno.hpp"
#include "base/result.hpp"
#include "base/types.hpp"

namespace xylem {

// Numbers, kept as ranges that neither overlap nor touch, in ascending order.
template <class Number, usize capacity>
class RangeSet {
   public:
    // XEN_ENOMEM: that would be more ranges than the set can keep; it is unchanged then.
    constexpr Result<> add(Number first, Number last) {
        usize from = 0;
        while (from < count_ && ranges_[from].last < first && first - ranges_[from].last > 1) ++from;
        usize to = from;  // ranges from..to-1 become one with the new one
        while (to < count_ && (ranges_[to].first <= last || ranges_[to].first - last == 1)) ++to;
        if (from == to) {
            if (count_ == capacity) return fail(XEN_ENOMEM);
            for (usize i = count_++; i > from; --i) ranges_[i] = ranges_[i - 1];
            ranges_[from] = {first, last};
            return {};
        }
        ranges_[from] = {std::min(first, ranges_[from].first), std::max(last, ranges_[to - 1].last)};
        drop(from + 1, to);
        return {};
    }

    constexpr Result<> remove(Number first, Number last) {
        usize from = 0;
        while (from < count_ && ranges_[from].last < first) ++from;
        if (from < count_ && ranges_[from].first < first) {
            if (ranges_[from].last > last) return split(from, first, last);
            ranges_[from++].last = static_cast<Number>(first - 1);
        }
        usize to = from;
        while (to < count_ && ranges_[to].last <= last) ++to;
        if (to < count_ && ranges_[to].first <= last) ranges_[to].first = static_cast<Number>(last + 1);
        drop(from, to);
        return {};
    }

    constexpr bool contains(Number first, Number last) const {
        for (usize i = 0; i < count_; ++i)
            if (ranges_[i].first <= first && last <= ranges_[i].last) return true;
        return false;
    }
    constexpr bool empty() const { return count_ == 0; }
    constexpr usize size() const { return count_; }

   private:
    struct Range {
        Number first, last;
    };

    constexpr Result<> split(usize at, Number first, Number last) {
        if (count_ == capacity) return fail(XEN_ENOMEM);
        for (usize i = count_++; i > at; --i) ranges_[i] = ranges_[i - 1];
        ranges_[at].last = static_cast<Number>(first - 1);
        ranges_[at + 1].first = static_cast<Number>(last + 1);
        return {};
    }
    constexpr void drop(usize from, usize to) {
        for (usize i = to; i < count_; ++i) ranges_[from + i - to] = ranges_[i];
        count_ -= to - from;
    }

    std::array<Range, capacity> ranges_{};
    usize count_ = 0;
};

}  // namespace xylem
