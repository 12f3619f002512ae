// SPDX-License-Identifier: MIT
#pragma once

#include "base/types.hpp"

namespace xylem {
struct Domain;
}

namespace xylem::port {

// May the domain map this frame of device or firmware memory?
bool may_map_device_frame(const Domain& domain, Mfn mfn);
// Is this a device frame the domain may map but not write (MSI-X tables, configuration space)?
bool is_read_only_device_frame(Mfn mfn);
// May the domain choose cache attributes?
bool may_choose_caching(const Domain& domain);

}  // namespace xylem::port
