// SPDX-License-Identifier: MIT
// What reading firmware tables needs from its surroundings.
#pragma once

#include "base/types.hpp"

namespace xylem::acpi {

class PhysicalMemory {
   public:
    // The bytes at machine addresses [start, start + bytes), or nullptr where that range cannot be read.
    // The pointer holds until the next call of map() on this object, so that one window is enough. `bytes` is at most
    // max_table_size.
    virtual const u8* map(Maddr start, usize bytes) = 0;

   protected:
    ~PhysicalMemory() = default;
};

// A larger table is taken for a broken length: the biggest DSDTs of real machines stay below one MiB.
inline constexpr usize max_table_size = 8 * mib;

}  // namespace xylem::acpi
