// SPDX-License-Identifier: MIT
// The batch that really issues multicalls, and what kernels do with it: page-table work, context switches.
#pragma once

#include "guest/kit/calls.hpp"
#include "guest/lib/batch.hpp"

namespace xylem::batch {

struct RealIssue {
    long operator()(multicall_entry_t* list, unsigned count) const { return kit::multicall(list, count); }
};
using RealBatch = Batch<RealIssue>;

// A context switch as one hypercall: kernel stack, FPU, up to three thread descriptors, both roots.
struct SwitchTo {
    u64 stack_top;
    Mfn root, user_root;
    struct Tls {
        u64 maddr = 0, descriptor = 0;
    } tls[3];
    bool fpu_is_his = false;
};
bool switch_context(RealBatch& b, const SwitchTo& to);

}  // namespace xylem::batch
