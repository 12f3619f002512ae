// SPDX-License-Identifier: MIT
// Hypercalls through Linux's privcmd device, and event channels from dom0 to itself through its evtchn device.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/guest/measure.hpp"

namespace bench {
namespace {

// Linux's interface to its devices: numbers and layouts, not Xen's.
struct Hypercall {
    std::uint64_t number, arguments[5];
};
struct BindUnbound {
    std::uint32_t remote_domain;
};
struct BindInterdomain {
    std::uint32_t remote_domain, remote_port;
};
struct Notify {
    std::uint32_t port;
};
constexpr unsigned long privcmd_hypercall = _IOC(_IOC_NONE, 'P', 0, sizeof(Hypercall));
constexpr unsigned long privcmd_unknown = _IOC(_IOC_NONE, 'P', 99, 0);
constexpr unsigned long evtchn_bind_interdomain = _IOC(_IOC_NONE, 'E', 1, sizeof(BindInterdomain));
constexpr unsigned long evtchn_bind_unbound = _IOC(_IOC_NONE, 'E', 2, sizeof(BindUnbound));
constexpr unsigned long evtchn_notify = _IOC(_IOC_NONE, 'E', 4, sizeof(Notify));

constexpr std::uint64_t number_xen_version = 17, number_sched_op = 29, number_nobodys = 63;

void hypercalls() {
    const int device = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
    if (device < 0) return;
    const auto call = [device](std::uint64_t number) {
        Hypercall words{number, {0, 0, 0, 0, 0}};  // xen_version: the version; sched_op: yield
        return ioctl(device, privcmd_hypercall, &words);
    };
    measure("privcmd-no-call", 5000, [device] { ioctl(device, privcmd_unknown, 0); });
    measure("privcmd-xen_version", 5000, [&] { call(number_xen_version); });
    measure("privcmd-nr63", 5000, [&] { call(number_nobodys); });
    measure("privcmd-yield", 2000, [&] { call(number_sched_op); });
    close(device);
}

// One end of a channel: reading gives a pending port, writing it back unmasks it.
struct End {
    int device;
    Notify port;

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

void event_channels() {
    End one{open("/dev/xen/evtchn", O_RDWR | O_CLOEXEC), {}}, two{open("/dev/xen/evtchn", O_RDWR | O_CLOEXEC), {}};
    if (one.device < 0 || two.device < 0) return;
    BindUnbound unbound{0};
    const int first = ioctl(one.device, evtchn_bind_unbound, &unbound);
    if (first <= 0) return;
    one.port.port = static_cast<std::uint32_t>(first);
    BindInterdomain interdomain{0, one.port.port};
    const int second = ioctl(two.device, evtchn_bind_interdomain, &interdomain);
    if (second <= 0) return;
    two.port.port = static_cast<std::uint32_t>(second);
    // a fresh binding raises an event
    while (two.pending(50)) two.take();
    while (one.pending(0)) one.take();
    measure("evtchn-one-task", 1000, [&] { one.notify(), two.take(); });
    const pid_t echo = fork();
    if (echo == 0) {
        while (two.take()) two.notify();
        _exit(0);
    }
    measure("evtchn-two-tasks", 1000, [&] { one.notify(), one.take(); });
    kill(echo, SIGKILL);
    waitpid(echo, nullptr, 0);
}

}  // namespace

void measure_xen() {
    hypercalls();
    event_channels();
}

}  // namespace bench
