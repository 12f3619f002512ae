// SPDX-License-Identifier: MIT
// The contract: a vCPU's registers, as tools save, restore and set them. Unless something else is said, the vCPU stands still
// on the way to its guest (sched::pause_and_wait, or it never ran), and the caller holds the domain's ControlLock.
#pragma once

#include "abi/errno.hpp"
#include "abi/xen.hpp"

namespace xylem {
struct Domain;
struct Vcpu;
}  // namespace xylem

namespace xylem::port {

// XEN_DOMCTL_setvcpucontext. The first time takes page-table roots and descriptor frames (references and type uses) and makes
// the vCPU ready to be brought up; later only registers change, and roots or descriptor frames that differ are refused with
// XEN_EOPNOTSUPP. XEN_EINVAL: frames that are none of the domain's, addresses that are not canonical.
Result<> set_vcpu_context(Vcpu& v, const vcpu_guest_context& c);
void get_vcpu_context(Vcpu& v, vcpu_guest_context& c);

// Entry points of 32-bit code. XEN_EINVAL: addresses that are not canonical.
Result<> set_vcpu_callbacks(Vcpu& v, const xen_domctl_ext_vcpucontext& c);
void get_vcpu_callbacks(Vcpu& v, xen_domctl_ext_vcpucontext& c);

// Extended processor state: two words (XCR0 as the guest set it, all it ever used) and an XSAVE area. 0: there is none.
u64 extended_state_bytes(Vcpu& v);
u64 extended_state_features();
// `to` has room for extended_state_bytes().
void get_extended_state(Vcpu& v, u8* to);
// XEN_EINVAL: wrong size, or state that this CPU does not have.
Result<> set_extended_state(Vcpu& v, const u8* from, u64 bytes);

// The vCPU has ended: gives back what its registers hold of the domain's memory.
void release_vcpu_memory(Vcpu& v);

// Fills the frame of a guest with hypercall entry code (XEN_DOMCTL_hypercall_init).
void write_hypercall_page(void* page);
// The domain's wall clock changed.
void publish_wall_clock(Domain& d);

}  // namespace xylem::port
