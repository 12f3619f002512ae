// SPDX-License-Identifier: MIT
// What this CPU can do and what of it the hypervisor uses.
#pragma once

#include "base/types.hpp"

namespace xylem {

struct Features {
    bool intel = false, amd = false;
    bool has_xsave = false, has_xsaveopt = false, has_smep = false, has_smap = false, has_fsgsbase = false, has_umip = false,
         has_rdtscp = false, has_rdpid = false, has_x2apic = false, has_invariant_tsc = false, has_svm = false,
         has_sysenter_in_long_mode = false;
    u64 host_cr4 = 0;        // CR4 while the hypervisor runs idle; guests add their own bits
    u64 guest_cr4_bits = 0;  // CR4 bits a PV guest may set
    u64 xcr0 = 1;            // every state component guests may use
    u32 fpu_bytes = 512;     // size of a vCPU's save area
    u32 physical_bits = 36;
};

// Boot CPU, once. `use_smep`, `use_smap`, `use_fsgsbase`, `use_xsave`: the user's options.
void detect_features(bool use_smep, bool use_smap, bool use_fsgsbase, bool use_xsave);
const Features& features();

}  // namespace xylem
