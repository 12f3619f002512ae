// SPDX-License-Identifier: MIT
#pragma once

#include "core/domain/domain.hpp"

namespace xylem {

// XEN_DOMCTL_destroydomain: ends the vCPUs, gives back everything the domain holds of others and all its memory; dom0 is told.
// The structure goes with the last reference, which those who have granted pages mapped hold. The second call does nothing.
// Long, yields. The caller holds the domain's ControlLock and is none of its vCPUs.
void destroy_domain(Domain& d);

}  // namespace xylem
