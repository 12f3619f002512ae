// SPDX-License-Identifier: MIT
// Making domains.
#pragma once

#include "core/domain/domain.hpp"
#include "core/domain/grant_limits.hpp"

namespace xylem {

struct DomainSettings {
    u32 max_vcpus = 1;
    u64 max_pages = 0;
    grant::Limits grants{};
    u32 max_channels = 131072;  // event channels; ports are below it
    bool is_hardware_domain = false;
    bool is_control_domain = false;
    bool is_xenstore_domain = false;
    bool starts_paused = false;  // by its controller
    xen_domain_handle_t handle{};
};

// A PV domain with its tables, shared_info and vCPUs (down, not initialised); on the domain list when it returns.
// XEN_ENOMEM, XEN_EEXIST, XEN_EINVAL, XEN_ENOSPC (too many domains).
Result<Domain*> create_domain(DomId id, const DomainSettings& settings);

}  // namespace xylem
