// SPDX-License-Identifier: MIT
// A program that takes all it can get. What it took stays taken until it ends.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "tests/boot/probe/probe.hpp"

namespace probe {

int take_ports() {
    int taken = 0, why = 0;
    for (; taken < 1 << 20; ++taken) {
        evtchn_alloc_unbound call{};
        call.dom = DOMID_SELF;
        call.remote_dom = 0;
        why = static_cast<int>(hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, address(&call)));
        if (why < 0) break;
    }
    std::printf("ports %s error %d\n", taken > 900 ? "many" : "few", why);
    return why == -ENOSPC ? 0 : 1;
}

int take_grants() {
    // Linux's gntalloc device: pages of its own that it grants to a domain
    struct Allocate {
        std::uint16_t domain, flags;
        std::uint32_t count;
        std::uint64_t index;
        std::uint32_t references[1];
    };
    constexpr unsigned long gntalloc_allocate = _IOC(_IOC_NONE, 'G', 5, 24);
    const int device = open("/dev/xen/gntalloc", O_RDWR | O_CLOEXEC);
    if (device < 0) return std::perror("/dev/xen/gntalloc"), 1;
    int taken = 0;
    for (; taken < 1 << 20; ++taken) {
        Allocate call{0, 0, 1, 0, {0}};
        if (ioctl(device, gntalloc_allocate, &call) < 0) break;
    }
    std::printf("grants %s error %d\n", taken > 0 ? "some" : "none", errno);
    std::fflush(stdout);
    return taken > 0 ? 0 : 1;
}

}  // namespace probe
