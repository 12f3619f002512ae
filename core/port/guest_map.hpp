// SPDX-License-Identifier: MIT
// The contract: how a granted frame gets into a guest's address space and out of it. arch/x86/pv implements it.
//
// The page-table entry owns what it maps: a successful map takes over the caller's reference (and, unless readonly, its use
// as writable memory); a successful unmap hands both back to the caller. An entry that the guest destroys by other means
// (a plain PTE write, the teardown of its page tables) gives them back itself, as for any foreign mapping.
#pragma once

#include "abi/errno.hpp"
#include "base/types.hpp"

namespace xylem {
struct Domain;
struct Vcpu;
}  // namespace xylem

namespace xylem::port {

struct MapFlags {
    bool readonly = false;
    bool user = false;   // GNTMAP_application_map: also for the guest's user mode
    u32 avail_bits = 0;  // GNTMAP_guest_avail: low bits go to the entry's bits for the guest's use
};

// `host_addr`: with contains_pte the machine address of an L1 entry in a page-table page of the current domain, else a linear
// address of the current vCPU whose L1 exists. Whatever the entry held is replaced (and released). No locks held.
// XEN_EFAULT: an address the guest may not map at; anything else: refused.
Result<> map_grant_at(Vcpu& vcpu, u64 host_addr, bool contains_pte, Mfn mfn, MapFlags flags);

// Clears the entry if it still maps `expected` (writable exactly where not readonly). Does not flush: the caller calls
// flush_domain_tlbs before it lets the frame go. XEN_EINVAL where the entry holds something else, or there is none.
Result<> unmap_grant_at(Vcpu& vcpu, u64 host_addr, Mfn expected, bool contains_pte, bool readonly);

// As unmap_grant_at for linear addresses, but the entry takes over what the entry of `new_addr` holds; that one becomes none.
Result<> replace_grant_at(Vcpu& vcpu, u64 host_addr, u64 new_addr, Mfn expected, bool readonly);

// Returns when no CPU and no IOMMU holds a translation that the domain's page tables (or grants to its devices) no longer
// have. Interrupts on, no locks held.
void flush_domain_tlbs(Domain& domain);

// The domain's devices may reach the frame too. The calls count and balance: one revoke per successful allow, with the same
// `writable`. Nothing to do where the domain's devices are not translated. Revoking takes effect by flush_domain_tlbs.
Result<> allow_device_access(Domain& domain, Mfn mfn, bool writable);
void revoke_device_access(Domain& domain, Mfn mfn, bool writable);

}  // namespace xylem::port
