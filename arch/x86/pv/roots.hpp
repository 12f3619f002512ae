// SPDX-License-Identifier: MIT
// Top-level page tables: the hypervisor's slots in them, and which of them a vCPU uses.
#pragma once

#include "abi/errno.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"

namespace xylem::pv {

// Writes the hypervisor's entries into an L4 that is about to be used by `domain`.
void install_hypervisor_slots(Domain& domain, u64* l4);

// A reference and a use as L4, which a vCPU holds of each root. XEN_EINVAL where the frame is no valid L4 of the domain. Giving
// back takes a machine address; 0 is none.
Result<> take_root(Domain& d, Mfn mfn);
void put_root(u64 root);

// MMUEXT_NEW_BASEPTR / NEW_USER_BASEPTR on the current vCPU: takes a reference and a type use of the L4 frame, drops the old
// root's. A new kernel root is loaded at once (that flushes the TLB); user roots when user mode is entered. mfn 0 as user
// root means none. XEN_EINVAL where the frame is no valid L4 of the domain.
Result<> set_kernel_root(ArchVcpu& v, Mfn mfn);
Result<> set_user_root(ArchVcpu& v, Mfn mfn);
// A frame becomes a kernel's root: kernels read the machine-to-physical table, their user programs do not.
void show_m2p(Mfn root);

// While it lives, memory is seen as the vCPU's kernel sees it. The current vCPU, interrupts off or no guest memory touched
// meanwhile that an interrupt handler touches, too.
class KernelView {
   public:
    explicit KernelView(ArchVcpu& v);
    ~KernelView();
    KernelView(const KernelView&) = delete;
    KernelView& operator=(const KernelView&) = delete;

   private:
    ArchVcpu& v_;
};

// Gives both roots back (domain teardown; the vCPU does not run).
void drop_roots(ArchVcpu& v);

// The L1 entry that maps `va` in the kernel root (in whatever root the vCPU's mode uses). Null where a level is missing.
// The tables may change under it: callers verify the L1 frame by taking a use of it.
struct L1Slot {
    PageInfo* table = nullptr;
    u64* entry = nullptr;
};
L1Slot find_l1(u64 root, u64 va);

}  // namespace xylem::pv
