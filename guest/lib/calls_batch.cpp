// SPDX-License-Identifier: MIT
#include "guest/lib/calls_batch.hpp"

#include "guest/kit/frame.hpp"

namespace xylem::batch {

bool switch_context(RealBatch& b, const SwitchTo& to) {
    static mmuext_op_t roots[2];
    roots[0] = {};
    roots[0].cmd = MMUEXT_NEW_BASEPTR;
    roots[0].arg1.mfn = to.root.raw;
    roots[1] = {};
    roots[1].cmd = MMUEXT_NEW_USER_BASEPTR;
    roots[1].arg1.mfn = to.user_root.raw;
    b.enter_lazy();
    b.call("stack_switch", __HYPERVISOR_stack_switch, u64{kit::flat_ss}, to.stack_top);
    if (!to.fpu_is_his) b.call("fpu_taskswitch", __HYPERVISOR_fpu_taskswitch, u64{1});
    for (const auto& t : to.tls)
        if (t.maddr != 0) b.call("update_descriptor", __HYPERVISOR_update_descriptor, t.maddr, t.descriptor);
    b.call("new roots", __HYPERVISOR_mmuext_op, kit::word(roots), u64{2}, u64{0}, u64{DOMID_SELF});
    return b.leave_lazy();
}

}  // namespace xylem::batch
