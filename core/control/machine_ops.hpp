// SPDX-License-Identifier: MIT
// sysctl: power management, CPUs and pages that come and go, patches. Xylem's CPUs, frequencies and pages stay as they are, so
// that most of it tells how things are.
#pragma once

#include "abi/errno.hpp"
#include "abi/xen.hpp"

namespace xylem::control {

// Idle states: running and halted, whose time is known; how often they changed is not. XEN_ENODEV: frequencies are the
// firmware's business. XEN_EINVAL: no such CPU or question.
Result<> power_statistics(xen_sysctl_get_pmstat& op);
// Limits that tools set are kept and told; a halted CPU is in the first state always.
Result<> power_operation(xen_sysctl_pm_op& op);
// XEN_EEXIST: the CPU is there. XEN_EINVAL: it is not. XEN_EBUSY, XEN_EOPNOTSUPP: CPUs do not leave.
Result<> cpu_hotplug(const xen_sysctl_cpu_hotplug& op);
// All memory is online. XEN_EOPNOTSUPP: no page is taken out of use. XEN_EINVAL: not memory. XEN_ENOMEM: too many at once.
Result<> page_status(const xen_sysctl_page_offline_op& op);
// There are no patches and none can be loaded.
Result<> live_patches(xen_sysctl_livepatch_op& op);

}  // namespace xylem::control
