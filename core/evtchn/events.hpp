// SPDX-License-Identifier: MIT
// What the rest of the hypervisor wants of event channels.
#pragma once

#include "base/text/format.hpp"
#include "core/domain/domain.hpp"

namespace xylem::evtchn {

// Domain creation and death. `max_channels`: 4096 is all of the 2-level ABI, 131072 all of FIFO. XEN_ENOMEM.
inline constexpr u32 default_max_channels = 4096;
Result<> create_table(Domain& domain, u32 max_channels = default_max_channels);
// Closes all ports, pirq bindings included; may yield, interrupts on, no locks. Before the vCPUs leave the scheduler.
void close_all(Domain& domain);
// Frees the table: when the domain's last reference is gone, after close_all().
void free_table(Domain& domain);

// --- any context. Nothing happens where the guest has not bound it, or the domain has no event channels.
void send_vcpu_virq(Vcpu& v, u32 virq);
void notify_global_virq(Domain& domain, u32 virq);
// As the domain's own EVTCHNOP_send; nothing for bad ports.
void notify(Domain& domain, Port port);
// The port's pending bit (SCHEDOP_poll). XEN_EINVAL for ports that are not in use.
Result<bool> is_pending(Domain& domain, Port port);
// A device's interrupt. False: the port is not (any more) the pirq's.
bool notify_pirq(Domain& domain, Port port, Pirq pirq);
// As EVTCHNOP_unmask; nothing for bad ports.
void unmask(Domain& domain, Port port);

// Debug key 'e', for one domain.
void dump(Domain& domain, text::Sink& out);

// Hypercall 32. `arg`: guest address of the sub-operation's structure. No locks held, interrupts on.
long event_channel_op(Vcpu& v, u64 command, u64 arg);

}  // namespace xylem::evtchn
