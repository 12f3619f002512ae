// SPDX-License-Identifier: MIT
// What sysctl tells of the machine: its CPUs, its memory, its one NUMA node.
#pragma once

#include "abi/errno.hpp"
#include "abi/xen.hpp"

namespace xylem::control {

Result<> physical_info(xen_sysctl_physinfo& op);
// The lists are filled as far as the caller has room; the count is what there is. A null list asks for the count.
Result<> cpu_topology(xen_sysctl_cputopoinfo& op);
Result<> numa_info(xen_sysctl_numainfo& op);
// The node of every device the caller names: unknown, as firmware's hints are dom0's. XEN_EFAULT.
Result<> pci_topology(xen_sysctl_pcitopoinfo& op);
Result<> cpu_idle_times(xen_sysctl_getcpuinfo& op);
Result<> available_memory(xen_sysctl_availheap& op);
// XEN_EINVAL: no such set; XEN_EOPNOTSUPP: of HVM guests; XEN_ENOBUFS: there were more words than room (those were filled).

}  // namespace xylem::control
