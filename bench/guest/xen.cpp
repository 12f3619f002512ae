// SPDX-License-Identifier: MIT
// Hypercalls through Linux's privcmd device, and event channels from dom0 to itself through its evtchn device.
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/guest/events.hpp"
#include "bench/guest/measure.hpp"

namespace bench {
namespace {

constexpr unsigned long privcmd_unknown = _IOC(_IOC_NONE, 'P', 99, 0);

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

void event_channels() {
    End one{open_evtchn(), {}}, two{open_evtchn(), {}};
    if (!one.bind_unbound(0) || !two.bind_interdomain(0, one.port.port)) return;  // a guest cannot bind its own port as dom0's
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
