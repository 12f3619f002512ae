// SPDX-License-Identifier: MIT
// A domain's interrupts as its kernel counts them (pirqs), and which machine line is behind each.
#pragma once

#include "base/text/format.hpp"
#include "core/domain/domain.hpp"

namespace xylem::irq {

class Line;
class PirqTable;

// Domain creation and death. Hardware domains get a pirq for each GSI (pirq == GSI) and `extra` ones for MSIs; others only the
// extra ones above the GSI range. XEN_ENOMEM.
inline constexpr u32 default_extra_pirqs = 256;
Result<> create_table(Domain& domain, u32 extra = default_extra_pirqs);
// Unbinds and unmaps all pirqs, once; no new ones. Interrupts on, no locks.
void unmap_all(Domain& domain);
// Frees the table: when the domain's last reference is gone, after unmap_all().
void free_table(Domain& domain);

// Whether map_pirq gives out MSIs at all (option msi); otherwise XEN_EPERM, and kernels turn to lines. Written at start.
void allow_messages(bool allowed);

// The domain's right to map a GSI that is not a hardware domain's anyway (XEN_DOMCTL_irq_permission). XEN_EINVAL, XEN_ENOMEM.
Result<> set_irq_permission(Domain& domain, Gsi gsi, bool allowed);
bool has_irq_permission(Domain& domain, Gsi gsi);

// EVTCHNOP_bind_pirq: interrupts of the pirq go to `port`, which is ready for them. XEN_EINVAL: no such pirq, or not mapped;
// XEN_EEXIST: bound already; XEN_EBUSY: the line is somebody else's who does not share; XEN_ENOSPC: no vector.
// The table lock of event channels is held (core/evtchn/table.hpp).
Result<> bind_pirq(Domain& domain, Pirq pirq, Port port, bool will_share);
// The port is being closed. Nothing where the pirq is not bound to it (any more). After it returns no interrupt is in between.
void unbind_pirq(Domain& domain, Pirq pirq, Port port);
// Interrupts should come to `cpu`: a wish.
void retarget_pirq(Domain& domain, Pirq pirq, CpuId cpu);

// Debug key 'i', for one domain.
void dump(Domain& domain, text::Sink& out);

// Hypercall 33. `arg`: guest address of the sub-operation's structure. No locks held, interrupts on.
long physdev_op(Vcpu& v, u64 command, u64 arg);

}  // namespace xylem::irq
