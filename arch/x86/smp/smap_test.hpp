// SPDX-License-Identifier: MIT
#pragma once

namespace xylem {

// Whether SMAP can be used with PV guests on this CPU. Some emulators (QEMU's TCG before 8) read the stack of an `iretq` that
// runs in ring 3 with the supervisor's rights, so that with SMAP on it faults; Linux as PV guest executes such an `iretq`
// before it can handle the fault. Boot CPU, before its own descriptor tables and the final page tables are in place: tries one
// and puts everything back.
bool smap_lets_guests_iret();

}  // namespace xylem
