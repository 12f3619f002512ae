// SPDX-License-Identifier: MIT
// Linux's devices for event channels and hypercalls.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdint>

namespace bench {

// Linux's interface to its devices: numbers and layouts, not Xen's.
struct Hypercall {
    std::uint64_t number, arguments[5];
};
constexpr unsigned long privcmd_hypercall = _IOC(_IOC_NONE, 'P', 0, sizeof(Hypercall));
struct BindUnbound {
    std::uint32_t remote_domain;
};
struct BindInterdomain {
    std::uint32_t remote_domain, remote_port;
};
struct Notify {
    std::uint32_t port;
};
constexpr unsigned long evtchn_bind_interdomain = _IOC(_IOC_NONE, 'E', 1, sizeof(BindInterdomain));
constexpr unsigned long evtchn_bind_unbound = _IOC(_IOC_NONE, 'E', 2, sizeof(BindUnbound));
constexpr unsigned long evtchn_notify = _IOC(_IOC_NONE, 'E', 4, sizeof(Notify));

inline int open_evtchn() {
    return open("/dev/xen/evtchn", O_RDWR | O_CLOEXEC);
}

// One end of a channel: reading gives a pending port, writing it back unmasks it.
struct End {
    int device;
    Notify port;

    bool bind_unbound(std::uint32_t domain) {
        BindUnbound call{domain};
        return keep(ioctl(device, evtchn_bind_unbound, &call));
    }
    bool bind_interdomain(std::uint32_t domain, std::uint32_t remote_port) {
        BindInterdomain call{domain, remote_port};
        return keep(ioctl(device, evtchn_bind_interdomain, &call));
    }
    bool keep(int answer) {
        port.port = answer > 0 ? static_cast<std::uint32_t>(answer) : 0;
        return answer > 0;
    }
    void notify() { ioctl(device, evtchn_notify, &port); }
    bool take() {
        std::uint32_t pending;
        return read(device, &pending, sizeof pending) == sizeof pending &&
               write(device, &pending, sizeof pending) == sizeof pending;
    }
    bool pending(int milliseconds) {
        pollfd wait{device, POLLIN, 0};
        return poll(&wait, 1, milliseconds) > 0;
    }
};

}  // namespace bench
