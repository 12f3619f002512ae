// SPDX-License-Identifier: MIT
// Host stand-in: who runs is what the simulated machine says.
#pragma once

namespace xylem {

struct ArchVcpu;
ArchVcpu& current_arch();

}  // namespace xylem
