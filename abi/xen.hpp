// SPDX-License-Identifier: MIT
// The one door to Debian's public Xen headers (libxen-dev). Needs __XEN_TOOLS__ (set by CMake) so that guest handles are typed.
#pragma once

// The public headers are C: our warnings are not theirs to keep.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wold-style-cast"
#include <stdint.h>
#include <xen/callback.h>
#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/nmi.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/xen.h>
#pragma clang diagnostic pop

#include "abi/errno.hpp"
#include "base/types.hpp"

namespace xylem {

inline constexpr DomId domid_self{DOMID_SELF};
inline constexpr DomId domid_io{DOMID_IO};
inline constexpr DomId domid_xen{DOMID_XEN};
inline constexpr DomId domid_invalid{DOMID_INVALID};
inline constexpr DomId domid_idle{DOMID_IDLE};
inline constexpr DomId domid_first_reserved{DOMID_FIRST_RESERVED};

}  // namespace xylem
