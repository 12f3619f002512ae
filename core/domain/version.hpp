// SPDX-License-Identifier: MIT
// The interface this hypervisor speaks: Xen 4.17's.
#pragma once

#include "base/types.hpp"

namespace xylem {

inline constexpr u32 interface_version = (4U << 16) | 17;

}  // namespace xylem
