// SPDX-License-Identifier: MIT
// A fuzzer's bytes, taken one after the other; zeros when they are used up.
#pragma once

#include <sanitizer/asan_interface.h>

#include <span>
#include <vector>

#include "base/types.hpp"

namespace xylem::fuzz {

struct Input {
    const u8* at;
    const u8* end;
    u8 byte() { return at < end ? *at++ : 0; }
    u16 word() {
        const u8 low = byte();
        return static_cast<u16>(low | byte() << 8);
    }
    bool done() const { return at >= end; }
};

// Memory that is made once: fresh megabytes for each run cost more than what is tested. What lies behind the part in use faults.
class Area {
   public:
    explicit Area(usize bytes) : bytes_(bytes + red_zone) {}
    std::span<u8> first(usize bytes) {
        ASAN_UNPOISON_MEMORY_REGION(bytes_.data(), bytes_.size());
        ASAN_POISON_MEMORY_REGION(bytes_.data() + bytes, red_zone);
        return {bytes_.data(), bytes};
    }
    ~Area() { ASAN_UNPOISON_MEMORY_REGION(bytes_.data(), bytes_.size()); }
    Area(const Area&) = delete;
    Area& operator=(const Area&) = delete;

   private:
    static constexpr usize red_zone = 0x10000;
    std::vector<u8> bytes_;
};

// Overwrites bytes of what would be accepted, so that inputs get past the first checks: the rest of the input is a list of
// {place, count, bytes}. A count of 0 cuts the end off there.
inline void spoil(std::vector<u8>& bytes, Input& in) {
    while (!in.done()) {
        const usize place = in.word();
        const u8 count = in.byte() % 9;
        if (count == 0 && place < bytes.size()) bytes.resize(place);
        for (usize i = 0; i < count; ++i) {
            const u8 value = in.byte();
            if (place + i < bytes.size()) bytes[place + i] = value;
        }
    }
}

}  // namespace xylem::fuzz
