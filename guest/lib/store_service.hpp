// SPDX-License-Identifier: MIT
// The store's server at work: one ring and one event channel per domain, answered as events come.
#pragma once

#include "base/result.hpp"
#include "guest/lib/store_server.hpp"

namespace xylem::store {

inline constexpr unsigned max_clients = 8;

Server& server();
// `page` is the domain's ring in our memory; `remote_port` what the domain offers to us.
Result<> serve(DomId domain, xenstore_domain_interface* page, DomId channel_domain, u32 remote_port);
// A ring that was broken by its domain is closed; how many were.
u32 closed_rings();

}  // namespace xylem::store
