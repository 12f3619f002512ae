// SPDX-License-Identifier: MIT
// Event channels: ports with handlers, over the two-level tables or the FIFO queues.
#pragma once

#include "abi/xen.hpp"
#include "base/result.hpp"

namespace xylem::events {

using Handler = void (*)(u32 port, void* argument);
inline constexpr u32 max_ports = 1024;  // that can have a handler

// Takes the kit's upcalls over. Ports without a handler stay masked from then on when they fire.
void start();
// Replaces the two-level tables; before other vCPUs use theirs. Further vCPUs call use_fifo_on_this_vcpu.
Result<> use_fifo();
Result<> use_fifo_on_this_vcpu();
bool is_fifo();

Result<u32> bind_virq(u32 virq, u32 vcpu, Handler handler, void* argument = nullptr);
Result<u32> bind_ipi(u32 vcpu, Handler handler, void* argument = nullptr);
Result<u32> bind_pirq(u32 pirq, bool may_share, Handler handler, void* argument = nullptr);
Result<u32> bind_interdomain(DomId domain, u32 remote_port, Handler handler, void* argument = nullptr);
// A port that `remote` may bind to; it has the handler already.
Result<u32> offer(DomId remote, Handler handler, void* argument = nullptr);
long close(u32 port);

long notify(u32 port);
void set_handler(u32 port, Handler handler, void* argument);
void mask(u32 port);
void unmask(u32 port);  // delivers what came meanwhile
bool is_masked(u32 port);
bool is_pending(u32 port);
void clear(u32 port);
long set_priority(u32 port, u32 priority);

}  // namespace xylem::events
