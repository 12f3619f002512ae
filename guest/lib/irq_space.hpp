// SPDX-License-Identifier: MIT
// The kernel's own interrupt numbers. 0 to 15 are kept for the legacy lines of the same number; everything else gets one when
// asked for.
#pragma once

#include <array>
#include <optional>

#include "base/types.hpp"

namespace xylem {

template <u32 count = 256>
class IrqSpace {
   public:
    static constexpr u32 legacy = 16;
    enum class Kind : u8 { none, gsi, msi, event };
    struct Source {
        Kind kind = Kind::none;
        u32 number = 0;  // GSI; pirq of an MSI; port
    };

    // The same GSI always has the same number; lines shared by devices share it. Nothing when the space is full.
    std::optional<u32> for_gsi(u32 gsi) {
        if (gsi < legacy) {
            sources_[gsi] = {Kind::gsi, gsi};
            ++users_[gsi];
            return gsi;
        }
        if (const auto irq = find(Kind::gsi, gsi)) {
            ++users_[*irq];
            return irq;
        }
        return take(Kind::gsi, gsi);
    }
    std::optional<u32> for_msi(u32 pirq) { return find(Kind::msi, pirq) ? std::nullopt : take(Kind::msi, pirq); }
    std::optional<u32> for_event(u32 port) { return find(Kind::event, port) ? std::nullopt : take(Kind::event, port); }

    std::optional<u32> find(Kind kind, u32 number) const {
        for (u32 i = 0; i < count; ++i)
            if (users_[i] > 0 && sources_[i].kind == kind && sources_[i].number == number) return i;
        return std::nullopt;
    }
    Source source(u32 irq) const { return irq < count && users_[irq] > 0 ? sources_[irq] : Source{}; }

    // True when the last user is gone.
    bool release(u32 irq) {
        if (irq >= count || users_[irq] == 0) return false;
        if (--users_[irq] > 0) return false;
        sources_[irq] = {};
        return true;
    }

   private:
    std::optional<u32> take(Kind kind, u32 number) {
        for (u32 i = legacy; i < count; ++i) {
            if (users_[i] > 0) continue;
            sources_[i] = {kind, number};
            users_[i] = 1;
            return i;
        }
        return std::nullopt;
    }

    std::array<Source, count> sources_{};
    std::array<u32, count> users_{};
};

}  // namespace xylem
