// SPDX-License-Identifier: MIT
// sysctl, domctl and the machine-check hypercall, called by PV domains through the hypercall table.
#include "core/control/control.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "abi/mca.hpp"
#include "arch/host/memory.hpp"
#include "core/console/console.hpp"
#include "core/control/cpu_pool.hpp"
#include "core/mem/frames.hpp"
#include "tests/unit/core/control/tools.hpp"

namespace xylem::host {
namespace {

class Control : public Tools {
   protected:
    template <class T>
    const T* result(u64 offset = 0, PvGuest* g = nullptr) {
        const u64* words = (g != nullptr ? *g : dom0).words(PvGuest::arguments);
        return reinterpret_cast<const T*>(reinterpret_cast<const u8*>(words) + offset);
    }
};

TEST_F(Control, other_versions_and_other_domains_are_refused) {
    xen_sysctl s = sysctl(XEN_SYSCTL_sched_id);
    s.interface_version = 0x14;
    EXPECT_EQ(call(s), error(XEN_EACCES));
    xen_domctl d = domctl(XEN_DOMCTL_getdomaininfo, 0);
    d.interface_version = 0x14;
    EXPECT_EQ(call(d), error(XEN_EACCES));
    EXPECT_EQ(w.call(__HYPERVISOR_sysctl, bad_guest_address), error(XEN_EFAULT));
    s = sysctl(99);
    EXPECT_EQ(call(s), error(XEN_ENOSYS));
    d = domctl(999, 0);
    EXPECT_EQ(call(d), error(XEN_ENOSYS));
    w.run(other);
    EXPECT_EQ(w.call(__HYPERVISOR_sysctl, w.put(other, sysctl(XEN_SYSCTL_sched_id))), error(XEN_EPERM));
    EXPECT_EQ(w.call(__HYPERVISOR_domctl, w.put(other, domctl(XEN_DOMCTL_getdomaininfo, 1))), error(XEN_EPERM));
    EXPECT_EQ(w.call(__HYPERVISOR_mca, w.put(other, xen_mc{})), error(XEN_EPERM));
}

TEST_F(Control, the_machine_is_described) {
    xen_sysctl s = sysctl(XEN_SYSCTL_physinfo);
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.physinfo.nr_cpus, 2u);
    EXPECT_EQ(s.u.physinfo.max_cpu_id, 1u);
    EXPECT_EQ(s.u.physinfo.nr_nodes, 1u);
    EXPECT_EQ(s.u.physinfo.cpu_khz, 2'000'000u);
    EXPECT_EQ(s.u.physinfo.capabilities,
              u32{XEN_SYSCTL_PHYSCAP_pv | XEN_SYSCTL_PHYSCAP_gnttab_v1 | XEN_SYSCTL_PHYSCAP_gnttab_v2});
    EXPECT_EQ(s.u.physinfo.free_pages, frames().free_frames());
    s = sysctl(XEN_SYSCTL_sched_id);
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.sched_id.sched_id, u32{XEN_SCHEDULER_CREDIT2});

    s = sysctl(XEN_SYSCTL_cputopoinfo);
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.cputopoinfo.num_cpus, 2u);
    s.u.cputopoinfo.num_cpus = 1;  // less room than there are: one entry, and the count
    point(s.u.cputopoinfo.cputopo, va(list_offset));
    const u32 untouched = 0x5555;
    w.put(dom0, untouched, list_offset + sizeof(xen_sysctl_cputopo));
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.cputopoinfo.num_cpus, 2u);
    EXPECT_EQ(result<xen_sysctl_cputopo>(list_offset)->node, 0u);
    EXPECT_EQ(*result<u32>(list_offset + sizeof(xen_sysctl_cputopo)), untouched);

    s = sysctl(XEN_SYSCTL_numainfo);
    s.u.numainfo.num_nodes = 4;
    point(s.u.numainfo.distance, va(list_offset));
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.numainfo.num_nodes, 1u);
    EXPECT_EQ(*result<u32>(list_offset), 10u);

    s = sysctl(XEN_SYSCTL_getcpuinfo);
    s.u.getcpuinfo.max_cpus = 7;
    point(s.u.getcpuinfo.info, va(list_offset));
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.getcpuinfo.nr_cpus, 2u);
    for (u32 cmd : {21u, 23u})  // psr_cmt_op, psr_alloc
    {
        s = sysctl(cmd);
        EXPECT_EQ(call(s), error(XEN_ENODEV));
    }
}

TEST_F(Control, power_cpus_pages_and_patches_stay_as_they_are) {
    xen_sysctl s = sysctl(XEN_SYSCTL_get_pmstat);
    s.u.get_pmstat.type = PMSTAT_get_max_px;
    EXPECT_EQ(call(s), error(XEN_ENODEV));
    s.u.get_pmstat.type = PMSTAT_get_cxstat;
    s.u.get_pmstat.u.getcx.nr = 1;  // room for one of two
    point(s.u.get_pmstat.u.getcx.triggers, va(list_offset));
    point(s.u.get_pmstat.u.getcx.residencies, va(list_offset + 64));
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.get_pmstat.u.getcx.nr, 2u);
    EXPECT_EQ(result<u64>(list_offset)[0], 1u);
    EXPECT_EQ(result<u64>(list_offset)[1], 0u);
    s.u.get_pmstat.cpuid = 2;
    EXPECT_EQ(call(s), error(XEN_EINVAL));

    s = sysctl(XEN_SYSCTL_pm_op);
    s.u.pm_op.cmd = XEN_SYSCTL_pm_op_get_max_cstate;
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.pm_op.u.get_max_cstate, 1u);
    s.u.pm_op.cmd = GET_CPUFREQ_PARA;
    EXPECT_EQ(call(s), error(XEN_EINVAL));

    s = sysctl(XEN_SYSCTL_cpu_hotplug);
    s.u.cpu_hotplug = {.cpu = 0, .op = XEN_SYSCTL_CPU_HOTPLUG_ONLINE};
    EXPECT_EQ(call(s), error(XEN_EEXIST));
    s.u.cpu_hotplug = {.cpu = 2, .op = XEN_SYSCTL_CPU_HOTPLUG_OFFLINE};
    EXPECT_EQ(call(s), error(XEN_EINVAL));

    s = sysctl(XEN_SYSCTL_page_offline_op);
    s.u.page_offline.cmd = sysctl_query_page_offline;
    s.u.page_offline.start = s.u.page_offline.end = static_cast<u32>(dom0.frames[0].raw);
    point(s.u.page_offline.status, va(list_offset));
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(*result<u32>(list_offset), 0u);
    s.u.page_offline.cmd = sysctl_page_offline;
    EXPECT_EQ(call(s), error(XEN_EOPNOTSUPP));

    s = sysctl(XEN_SYSCTL_livepatch_op);
    s.u.livepatch.cmd = XEN_SYSCTL_LIVEPATCH_LIST;
    s.u.livepatch.u.list.nr = 7;
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.livepatch.u.list.nr, 0u);
}

TEST_F(Control, what_is_not_there_answers_as_real_xen) {
    const std::pair<u32, Errno> answers[] = {
        {XEN_DOMCTL_gethvmcontext, XEN_EINVAL},     {XEN_DOMCTL_soft_reset, XEN_EINVAL},
        {XEN_DOMCTL_assign_device, XEN_EOPNOTSUPP}, {XEN_DOMCTL_get_paging_mempool_size, XEN_EOPNOTSUPP},
        {XEN_DOMCTL_vm_event_op, XEN_ENOSYS},       {XEN_DOMCTL_psr_alloc, XEN_ENODEV},
    };
    for (const auto& [command, answer] : answers) {
        xen_domctl d = domctl(command, other.domain->id.raw);
        EXPECT_EQ(call(d), error(answer)) << command;
        d.domain = 0x7000;
        EXPECT_EQ(call(d), error(XEN_ESRCH)) << command;
    }
    xen_domctl d = domctl(XEN_DOMCTL_shadow_op, other.domain->id.raw);
    EXPECT_EQ(call(d), error(XEN_EINVAL));
    d.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY;
    EXPECT_EQ(call(d), error(XEN_EOPNOTSUPP));
    d = domctl(XEN_DOMCTL_createdomain, other.domain->id.raw);  // there is one, and nothing else of it is right
    EXPECT_EQ(call(d), error(XEN_EEXIST));
    d = domctl(XEN_DOMCTL_getvcpuextstate, other.domain->id.raw);
    d.u.vcpuextstate.vcpu = 1;
    EXPECT_EQ(call(d), error(XEN_ESRCH));
}

TEST_F(Control, processors_by_platform_op) {
    xen_platform_op op{};
    op.interface_version = XENPF_INTERFACE_VERSION;
    simulation.cpuid[{0, 0}] = {.a = 1, .b = 0x68747541, .c = 0x444d4163, .d = 0x69746e65};
    simulation.cpuid[{1, 0}].a = 0x0080'0f12;
    op.cmd = XENPF_get_cpu_version;
    op.u.pcpu_version.xen_cpuid = 1;
    ASSERT_EQ(w.call(__HYPERVISOR_platform_op, w.put(dom0, op)), 0);
    const auto& version = result<xen_platform_op>()->u.pcpu_version;
    EXPECT_EQ(version.max_present, 1u);
    EXPECT_EQ(std::string(version.vendor_id, 12), "AuthenticAMD");
    EXPECT_EQ(version.family, 0x17u);
    EXPECT_EQ(version.model, 1u);
    EXPECT_EQ(version.stepping, 2u);
    op.u.pcpu_version.xen_cpuid = 2;
    ASSERT_EQ(w.call(__HYPERVISOR_platform_op, w.put(dom0, op)), 0);
    EXPECT_EQ(version.family, 0u);
    EXPECT_EQ(version.vendor_id[0], 0);
    op.cmd = XENPF_set_processor_pminfo;
    op.u.set_pminfo.type = XEN_PM_PX;
    EXPECT_EQ(w.call(__HYPERVISOR_platform_op, w.put(dom0, op)), 0);
    op.u.set_pminfo.type = XEN_PM_PDC + 1;
    EXPECT_EQ(w.call(__HYPERVISOR_platform_op, w.put(dom0, op)), error(XEN_EINVAL));
}

TEST_F(Control, free_memory_by_address_width) {
    xen_sysctl s = sysctl(XEN_SYSCTL_availheap);
    s.u.availheap.node = -1;
    ASSERT_EQ(call(s), 0);
    const u64 all = s.u.availheap.avail_bytes;
    EXPECT_EQ(all, frames().free_frames() * page_size);
    u64 sum = 0;
    for (u32 bits : {0u, 22u, 30u}) {
        s.u.availheap.min_bitwidth = bits;
        s.u.availheap.max_bitwidth = bits == 0 ? 22 : bits == 22 ? 30 : 64;
        ASSERT_EQ(call(s), 0);
        sum += s.u.availheap.avail_bytes;
    }
    EXPECT_EQ(sum, all);
    s.u.availheap.node = 1;
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.availheap.avail_bytes, 0u);
}

TEST_F(Control, feature_sets_have_nineteen_words) {
    simulation.cpuid[{0, 0}] = {0xd, 0, 0, 0};
    simulation.cpuid[{1, 0}] = {0, 0, 0x80202009, 0x078bfbfd};
    xen_sysctl s = sysctl(XEN_SYSCTL_get_cpu_featureset);
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.cpu_featureset.nr_features, 19u);
    point(s.u.cpu_featureset.features, va(list_offset));
    s.u.cpu_featureset.nr_features = 64;
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.cpu_featureset.nr_features, 19u);
    EXPECT_EQ(*result<u32>(list_offset), 0x078bfbfdu);
    s.u.cpu_featureset.index = XEN_SYSCTL_cpu_featureset_pv;
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(*result<u32>(list_offset) & (1u << 3), 0u);  // PSE is not for PV guests
    s.u.cpu_featureset.nr_features = 1;
    EXPECT_EQ(call(s), error(XEN_ENOBUFS));
    EXPECT_EQ(s.u.cpu_featureset.nr_features, 1u);
    s.u.cpu_featureset.index = XEN_SYSCTL_cpu_featureset_hvm;
    EXPECT_EQ(call(s), error(XEN_EOPNOTSUPP));
    s.u.cpu_featureset.index = 6;
    EXPECT_EQ(call(s), error(XEN_EINVAL));
}

TEST_F(Control, domains_are_listed_from_any_number) {
    xen_sysctl s = sysctl(XEN_SYSCTL_getdomaininfolist);
    s.u.getdomaininfolist.max_domains = 8;
    point(s.u.getdomaininfolist.buffer, va(list_offset));
    ASSERT_EQ(call(s), 0);
    ASSERT_EQ(s.u.getdomaininfolist.num_domains, 2u);
    const auto* first = result<xen_domctl_getdomaininfo>(list_offset);
    EXPECT_EQ(first[0].domain, 0);
    EXPECT_EQ(first[0].max_vcpu_id, 1u);
    EXPECT_EQ(first[0].tot_pages, dom0.domain->total_pages.load());
    EXPECT_EQ(first[1].domain, 1);
    s.u.getdomaininfolist.first_domain = 1;
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.getdomaininfolist.num_domains, 1u);
    s.u.getdomaininfolist.max_domains = 0;
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.getdomaininfolist.num_domains, 0u);

    xen_domctl d = domctl(XEN_DOMCTL_getdomaininfo, 1);
    other.domain->shutdown_code = SHUTDOWN_crash;
    other.domain->shut_down = true;
    ASSERT_EQ(call(d), 0);
    EXPECT_EQ(d.u.getdomaininfo.flags, u32{XEN_DOMINF_shutdown | SHUTDOWN_crash << XEN_DOMINF_shutdownshift});
    d = domctl(XEN_DOMCTL_getdomaininfo, 2);
    EXPECT_EQ(call(d), error(XEN_ESRCH));
    d = domctl(XEN_DOMCTL_getdomaininfo, DOMID_SELF);
    EXPECT_EQ(call(d), error(XEN_ESRCH));
}

TEST_F(Control, vcpus_their_affinity_and_their_domains_weight) {
    xen_domctl d = domctl(XEN_DOMCTL_getvcpuinfo, 0);
    d.u.getvcpuinfo.vcpu = 1;
    ASSERT_EQ(call(d), 0);
    EXPECT_EQ(d.u.getvcpuinfo.online, 0);
    d.u.getvcpuinfo.vcpu = 2;
    EXPECT_EQ(call(d), error(XEN_EINVAL));
    d = domctl(XEN_DOMCTL_getvcpuinfo, DOMID_SELF);
    EXPECT_EQ(call(d), error(XEN_ESRCH));

    d = domctl(XEN_DOMCTL_setvcpuaffinity, 1);
    EXPECT_EQ(call(d), error(XEN_EINVAL));  // neither hard nor soft
    d.u.vcpuaffinity.flags = XEN_VCPUAFFINITY_HARD;
    d.u.vcpuaffinity.cpumap_hard.nr_bits = 16;
    point(d.u.vcpuaffinity.cpumap_hard.bitmap, va(list_offset));
    w.put(dom0, u32{0x1234fff2}, list_offset);
    ASSERT_EQ(call(d), 0);
    EXPECT_EQ(*result<u32>(list_offset), 0x12340002u);  // only online CPUs, only the bytes it named
    EXPECT_FALSE(other.domain->vcpus[0]->sched.hard_affinity.has(CpuId(0)));
    w.put(dom0, u32{0}, list_offset);
    EXPECT_EQ(call(d), error(XEN_EINVAL));
    d.cmd = XEN_DOMCTL_getvcpuaffinity;
    ASSERT_EQ(call(d), 0);
    EXPECT_EQ(*result<u32>(list_offset), 2u);

    d = domctl(XEN_DOMCTL_scheduler_op, 1);
    d.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT2;
    d.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_putinfo;
    d.u.scheduler_op.u.credit2 = {.weight = 512, .cap = 50};
    ASSERT_EQ(call(d), 0);
    d.u.scheduler_op.u.credit2 = {.weight = 0, .cap = 0};
    ASSERT_EQ(call(d), 0);
    d.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    ASSERT_EQ(call(d), 0);
    EXPECT_EQ(d.u.scheduler_op.u.credit2.weight, 512);
    EXPECT_EQ(d.u.scheduler_op.u.credit2.cap, 0);
    d.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT;
    EXPECT_EQ(call(d), error(XEN_EINVAL));
}

TEST_F(Control, there_is_one_pool) {
    xen_sysctl s = sysctl(XEN_SYSCTL_cpupool_op);
    auto& op = s.u.cpupool_op;
    op.op = XEN_SYSCTL_CPUPOOL_OP_INFO;
    op.cpumap.nr_bits = 9;
    point(op.cpumap.bitmap, va(list_offset));
    w.put(dom0, u32{0xffffffff}, list_offset);
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(op.sched_id, u32{XEN_SCHEDULER_CREDIT2});
    EXPECT_EQ(op.n_dom, 2u);
    EXPECT_EQ(*result<u32>(list_offset), 0xffff0003u);
    op.cpupool_id = 1;
    EXPECT_EQ(call(s), error(XEN_ENOENT));
    op.op = XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN;
    op.domid = 1;
    EXPECT_EQ(call(s), error(XEN_ENOENT));
    op.cpupool_id = 0;
    EXPECT_EQ(call(s), 0);
    op.domid = 7;
    EXPECT_EQ(call(s), error(XEN_ESRCH));
    op.op = XEN_SYSCTL_CPUPOOL_OP_DESTROY;
    EXPECT_EQ(call(s), error(XEN_EBUSY));
    s = sysctl(XEN_SYSCTL_scheduler_op);
    s.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT2;
    s.u.scheduler_op.cmd = XEN_SYSCTL_SCHEDOP_getinfo;
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.scheduler_op.u.sched_credit2.ratelimit_us, 1000u);
    const auto set = [&](u32 microseconds) {
        s.u.scheduler_op.cmd = XEN_SYSCTL_SCHEDOP_putinfo;
        s.u.scheduler_op.u.sched_credit2.ratelimit_us = microseconds;
        return call(s);
    };
    const auto get = [&] {
        s.u.scheduler_op.cmd = XEN_SYSCTL_SCHEDOP_getinfo;
        EXPECT_EQ(call(s), 0);
        return s.u.scheduler_op.u.sched_credit2.ratelimit_us;
    };
    EXPECT_EQ(set(5000), 0);
    EXPECT_EQ(get(), 5000u);
    for (u32 bad : {1u, 99u, 500'001u}) EXPECT_EQ(set(bad), error(XEN_EINVAL)) << bad;
    EXPECT_EQ(get(), 5000u);
    EXPECT_EQ(set(0), 0);  // none
    EXPECT_EQ(get(), 0u);
    control::set_first_ratelimit(700);
    EXPECT_EQ(get(), 700u);
    control::set_first_ratelimit(1000);
    EXPECT_EQ(get(), 1000u);
}

TEST_F(Control, rights_to_ports_and_frames_are_given_by_those_who_have_them) {
    xen_domctl d = domctl(XEN_DOMCTL_ioport_permission, 1);
    d.u.ioport_permission = {.first_port = 0x2f8, .nr_ports = 8, .allow_access = 1};
    EXPECT_EQ(call(d), 0);
    EXPECT_TRUE(other.domain->io.has_ports(0x2f8, 0x2ff));
    EXPECT_FALSE(other.domain->io.has_ports(0x2f8, 0x300));
    d.u.ioport_permission = {.first_port = 0x2fa, .nr_ports = 1, .allow_access = 0};
    EXPECT_EQ(call(d), 0);
    EXPECT_FALSE(other.domain->io.has_ports(0x2fa, 0x2fa));
    EXPECT_TRUE(other.domain->io.has_ports(0x2fb, 0x2ff));
    d.u.ioport_permission = {.first_port = 0x3f8, .nr_ports = 0, .allow_access = 1};
    EXPECT_EQ(call(d), error(XEN_EINVAL));
    d.u.ioport_permission = {.first_port = 0xffff, .nr_ports = 2, .allow_access = 1};
    EXPECT_EQ(call(d), error(XEN_EINVAL));
    d.u.ioport_permission = {.first_port = 0x20, .nr_ports = 2, .allow_access = 1};
    EXPECT_EQ(call(d), error(XEN_EPERM));  // the hypervisor's

    d = domctl(XEN_DOMCTL_iomem_permission, 1);
    d.u.iomem_permission = {.first_mfn = 0xfed00, .nr_mfns = 1, .allow_access = 1};
    EXPECT_EQ(call(d), 0);
    EXPECT_TRUE(other.domain->io.has_frames(0xfed00, 0xfed00));
    d.u.iomem_permission.nr_mfns = ~u64{0};
    EXPECT_EQ(call(d), error(XEN_EINVAL));
    d = domctl(XEN_DOMCTL_memory_mapping, 1);
    d.u.memory_mapping.first_mfn = d.u.memory_mapping.first_gfn = 0xfed00;
    d.u.memory_mapping.nr_mfns = 1;
    EXPECT_EQ(call(d), 0);
    d.u.memory_mapping.nr_mfns = 2;
    EXPECT_EQ(call(d), error(XEN_EPERM));
    d.u.memory_mapping.nr_mfns = 65;
    EXPECT_EQ(call(d), error(XEN_E2BIG));
}

TEST_F(Control, the_console_ring_is_read_in_pieces_and_cleared) {
    console::the_console().clear_ring_to(~u32{0} / 2);
    xen_sysctl s = sysctl(XEN_SYSCTL_readconsole);
    s.u.readconsole.clear = 1;
    s.u.readconsole.count = 2048;
    point(s.u.readconsole.buffer, va(list_offset));
    while (call(s) == 0 && s.u.readconsole.count != 0) s.u.readconsole.count = 2048;
    console::the_console().emit(log::Level::error, "hello from the ring");
    s.u.readconsole.count = 2048;
    s.u.readconsole.clear = 0;
    ASSERT_EQ(call(s), 0);
    const std::string text(result<char>(list_offset), s.u.readconsole.count);
    EXPECT_NE(text.find("hello from the ring"), std::string::npos);
    s.u.readconsole.incremental = 1;
    s.u.readconsole.count = 2048;
    ASSERT_EQ(call(s), 0);
    EXPECT_EQ(s.u.readconsole.count, 0u);
    s.u.readconsole.incremental = 0;
    s.u.readconsole.count = 2048;
    point(s.u.readconsole.buffer, bad_guest_address);
    EXPECT_EQ(call(s), error(XEN_EFAULT));
    s = sysctl(XEN_SYSCTL_debug_keys);
    s.u.debug_keys.nr_keys = 1;
    point(s.u.debug_keys.keys, bad_guest_address);
    EXPECT_EQ(call(s), error(XEN_EFAULT));
}

TEST_F(Control, the_machine_has_cpus_and_no_errors) {
    xen_mc m{};
    m.cmd = XEN_MC_physcpuinfo;
    m.interface_version = XEN_MCA_INTERFACE_VERSION;
    ASSERT_EQ(w.call(__HYPERVISOR_mca, w.put(dom0, m)), 0);
    EXPECT_EQ(result<xen_mc>()->u.mc_physcpuinfo.ncpus, 2u);
    m.u.mc_physcpuinfo.ncpus = 9;
    point(m.u.mc_physcpuinfo.info, va(list_offset));
    ASSERT_EQ(w.call(__HYPERVISOR_mca, w.put(dom0, m)), 0);
    EXPECT_EQ(result<xen_mc>()->u.mc_physcpuinfo.ncpus, 2u);
    EXPECT_EQ(result<xen_mc_logical_cpu_t>(list_offset)[1].mc_cpunr, 1u);

    m.cmd = XEN_MC_fetch;
    m.u.mc_fetch = {};
    m.u.mc_fetch.flags = XEN_MC_NONURGENT;
    EXPECT_EQ(w.call(__HYPERVISOR_mca, w.put(dom0, m)), error(XEN_EINVAL));  // nowhere to put it
    point(m.u.mc_fetch.data, va(list_offset));
    ASSERT_EQ(w.call(__HYPERVISOR_mca, w.put(dom0, m)), 0);
    EXPECT_EQ(result<xen_mc>()->u.mc_fetch.flags, u32{XEN_MC_NODATA});
    m.u.mc_fetch.flags = XEN_MC_NONURGENT | XEN_MC_ACK;
    ASSERT_EQ(w.call(__HYPERVISOR_mca, w.put(dom0, m)), 0);
    EXPECT_EQ(result<xen_mc>()->u.mc_fetch.flags, u32{XEN_MC_OK});
    m.cmd = XEN_MC_mceinject;
    EXPECT_EQ(w.call(__HYPERVISOR_mca, w.put(dom0, m)), error(XEN_ENOSYS));
    m.cmd = 77;
    EXPECT_EQ(w.call(__HYPERVISOR_mca, w.put(dom0, m)), error(XEN_EINVAL));
    m.interface_version = 1;
    EXPECT_EQ(w.call(__HYPERVISOR_mca, w.put(dom0, m)), error(XEN_EACCES));
}

}  // namespace
}  // namespace xylem::host
