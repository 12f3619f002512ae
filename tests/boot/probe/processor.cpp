// SPDX-License-Identifier: MIT
// What a domain's processors are, seen from dom0 and from inside.
#include <x86intrin.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tests/boot/probe/probe.hpp"

namespace probe {
namespace {

xen_domctl control(unsigned command, unsigned domain) {
    xen_domctl op{};
    op.cmd = command;
    op.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op.domain = static_cast<domid_t>(domain);
    return op;
}

}  // namespace

int time_stamp() {
    std::uint64_t last = 0;
    for (int i = 0; i < 100'000; ++i) {
        const std::uint64_t now = __rdtsc();
        if (now < last) return std::printf("from %lu back to %lu\n", last, now), 1;
        last = now;
    }
    std::printf("%lu\n", last);
    return 0;
}

int time_stamp_mode(unsigned domain) {
    xen_domctl op = control(XEN_DOMCTL_gettscinfo, domain);
    const long answer = hypercall(__HYPERVISOR_domctl, address(&op));
    if (answer < 0) return std::printf("gettscinfo: %ld\n", answer), 1;
    std::printf("mode %u khz %u\n", op.u.tsc_info.tsc_mode, op.u.tsc_info.gtsc_khz);
    return 0;
}

int same_policy(unsigned domain) {
    static xen_cpuid_leaf_t leaves[256];
    static xen_msr_entry_t msrs[16];
    std::memset(leaves, 0, sizeof leaves);  // the pages must be there: the hypercall does not fetch them
    std::memset(msrs, 0, sizeof msrs);
    xen_domctl op = control(XEN_DOMCTL_get_cpu_policy, domain);
    auto& policy = op.u.cpu_policy;
    policy.nr_leaves = 256;
    policy.nr_msrs = 16;
    set_xen_guest_handle_raw(policy.leaves, leaves);
    set_xen_guest_handle_raw(policy.msrs, msrs);
    const long got = hypercall(__HYPERVISOR_domctl, address(&op));
    if (got < 0) return std::printf("get_cpu_policy: %ld\n", got), 1;
    op.cmd = XEN_DOMCTL_set_cpu_policy;
    std::printf("set_cpu_policy: %ld\n", hypercall(__HYPERVISOR_domctl, address(&op)));
    leaves[0].leaf = 0x1234;
    op.u.cpu_policy.nr_leaves = 1;
    const long bad = hypercall(__HYPERVISOR_domctl, address(&op));
    std::printf("bad leaf: %ld %s\n", bad, bad == -ERANGE && op.u.cpu_policy.err_leaf == 0x1234 ? "named" : "not named");
    return 0;
}

}  // namespace probe
