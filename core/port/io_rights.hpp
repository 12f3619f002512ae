// SPDX-License-Identifier: MIT
#pragma once

#include "base/types.hpp"

namespace xylem {
struct Domain;
}

namespace xylem::port {

// May the domain map these frames of device or firmware memory? Never those that the hypervisor keeps for itself.
bool may_map_device_frames(const Domain& domain, Mfn first, Mfn last);
// The same for ports.
bool may_use_ports(const Domain& domain, u32 first, u32 last);
// Is this a device frame the domain may map but not write (MSI-X tables, configuration space)?
bool is_read_only_device_frame(Mfn mfn);
// May the domain choose cache attributes?
bool may_choose_caching(const Domain& domain);

}  // namespace xylem::port
