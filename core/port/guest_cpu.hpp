// SPDX-License-Identifier: MIT
// The contract: what hypercalls change of a PV vCPU's registers.
#pragma once

#include "base/types.hpp"

namespace xylem {
struct Vcpu;
}

namespace xylem::port {

// PHYSDEVOP_set_iopl: 0..3, of the calling vCPU.
void set_iopl(Vcpu& v, u32 iopl);
// PHYSDEVOP_set_iobitmap: ports below `ports` (<= 65536) whose bit at guest address `va` is clear are allowed in user mode;
// read at each access.
void set_iobitmap(Vcpu& v, u64 va, u32 ports);

}  // namespace xylem::port
