// SPDX-License-Identifier: MIT
#include "core/control/machine_info.hpp"

#include <algorithm>

#include "core/mem/frames.hpp"
#include "core/pci/device.hpp"
#include "core/port/cpu_info.hpp"
#include "core/port/guest.hpp"
#include "core/port/memory_info.hpp"
#include "core/port/preempt.hpp"
#include "core/sched/scheduler.hpp"
#include "cpu/layout.hpp"

namespace xylem::control {
namespace {

constexpr u32 ram = 1;
constexpr u32 local_distance = 10;  // as ACPI's SLIT counts

u64 ram_bytes() {
    u64 bytes = 0;
    for (const MemoryMapEntry& e : port::machine_memory_map())
        if (e.type == ram) bytes += e.bytes;
    return bytes;
}

}  // namespace

Result<> physical_info(xen_sysctl_physinfo& op) {
    op = {};
    const port::CpuCounts counts = port::cpu_counts();
    op.threads_per_core = counts.threads_per_core;
    op.cores_per_socket = counts.cores_per_socket;
    op.nr_cpus = port::online_cpus();
    op.max_cpu_id = op.nr_cpus - 1;
    op.nr_nodes = 1;
    op.cpu_khz = port::cpu_khz();
    op.capabilities = XEN_SYSCTL_PHYSCAP_pv | XEN_SYSCTL_PHYSCAP_gnttab_v1 | XEN_SYSCTL_PHYSCAP_gnttab_v2;
    op.total_pages = ram_bytes() >> page_shift;
    op.free_pages = frames().free_frames();
    op.max_mfn = layout::frame_count() - 1;
    const port::FeatureSet features = port::cpu_features(port::PolicyKind::host);
    std::copy_n(features.begin(), std::size(op.hw_cap), op.hw_cap);
    return {};
}

Result<> cpu_topology(xen_sysctl_cputopoinfo& op) {
    const u32 there = port::online_cpus();
    const GuestPtr<xen_sysctl_cputopo> list(op.cputopo);
    const u32 count = list.is_null() ? 0 : std::min(op.num_cpus, there);
    for (u32 i = 0; i < count; ++i) {
        const port::CpuPlace place = port::cpu_place(CpuId(i));
        TRY(list.element(i).write({.core = place.core, .socket = place.socket, .node = 0}));
    }
    op.num_cpus = there;
    return {};
}

Result<> numa_info(xen_sysctl_numainfo& op) {
    const GuestPtr<xen_sysctl_meminfo> memory(op.meminfo);
    const GuestPtr<u32> distance(op.distance);
    if (op.num_nodes != 0) {
        if (!memory.is_null()) TRY(memory.write({.memsize = ram_bytes(), .memfree = frames().free_frames() << page_shift}));
        if (!distance.is_null()) TRY(distance.write(local_distance));
    }
    op.num_nodes = 1;
    return {};
}

Result<> pci_topology(xen_sysctl_pcitopoinfo& op) {
    const GuestPtr<physdev_pci_device> devices(op.devs);
    const GuestPtr<u32> nodes(op.nodes);
    if (devices.is_null() || nodes.is_null()) return fail(XEN_EINVAL);
    u32 done = 0;
    for (; done < op.num_devs; ++done) {
        const physdev_pci_device d = TRY(devices.element(done).read());
        const bool known = pci::find_device(Sbdf(d.seg, d.bus, d.devfn)) != nullptr;
        TRY(nodes.element(done).write(known ? XEN_INVALID_NODE_ID : XEN_INVALID_DEV));
        port::preemption_point();
    }
    op.num_devs = done;
    return {};
}

Result<> cpu_idle_times(xen_sysctl_getcpuinfo& op) {
    const u32 count = std::min(op.max_cpus, port::online_cpus());
    const GuestPtr<xen_sysctl_cpuinfo> list(op.info);
    for (u32 i = 0; i < count; ++i) TRY(list.element(i).write({.idletime = static_cast<u64>(sched::idle_time(CpuId(i)))}));
    op.nr_cpus = count;
    return {};
}

Result<> available_memory(xen_sysctl_availheap& op) {
    const bool everywhere = op.min_bitwidth == 0 && op.max_bitwidth == 0;
    u64 count = 0;
    if (op.node == -1 || op.node == 0)
        count = everywhere ? frames().free_frames()
                           : frames().free_frames_between(op.min_bitwidth, op.max_bitwidth == 0 ? 64 : op.max_bitwidth);
    op.avail_bytes = count << page_shift;
    return {};
}

}  // namespace xylem::control
