// SPDX-License-Identifier: MIT
// What two domains do with each other: events, a disk's blocks, a TCP connection. Each mode of the program is one side of it.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

#include "abi/xen.hpp"
#include "bench/guest/events.hpp"
#include "bench/guest/measure.hpp"

namespace bench {
namespace {

constexpr std::size_t mebibyte = 1 << 20;
alignas(4096) char buffer[mebibyte];

// In the guest: a port that dom0 may bind; every event goes back. Never ends.
int echo() {
    End end{open_evtchn(), {}};
    if (!end.bind_unbound(0)) return 1;
    std::printf("ECHO %u\n", end.port.port);
    std::fflush(stdout);
    while (end.take()) end.notify();
    return 1;
}

// In dom0: events to the guest's port and back.
int ping(std::uint32_t domain, std::uint32_t port) {
    End end{open_evtchn(), {}};
    if (!end.bind_interdomain(domain, port)) return 1;
    while (end.pending(200)) end.take();  // a fresh binding raises events
    measure("domain-round-trip", 300, [&] { end.notify(), end.take(); });
    return 0;
}

// Blocks of 64 KiB, not through the page cache.
int block(const char* path) {
    constexpr std::size_t size = 65536;
    const int disk = open(path, O_RDWR | O_DIRECT);
    if (disk < 0) return std::perror(path), 1;
    off_t at = 0;
    const auto next = [&at] { return at = (at + static_cast<off_t>(size)) % static_cast<off_t>(16 * mebibyte); };
    measure("block-read-64k", 64, [&] {
        if (pread(disk, buffer, size, next()) != static_cast<ssize_t>(size)) std::exit(1);
    });
    measure("block-write-64k", 64, [&] {
        if (pwrite(disk, buffer, size, next()) != static_cast<ssize_t>(size)) std::exit(1);
    });
    return 0;
}

// A connection through which a mebibyte goes at a time; the other end throws it away.
int transmit(const char* row, const char* to, const char* port) {
    sockaddr_in there{};
    there.sin_family = AF_INET;
    there.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
    inet_pton(AF_INET, to, &there.sin_addr);
    const int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, reinterpret_cast<sockaddr*>(&there), sizeof there) != 0) return std::perror(to), 1;
    measure(row, 8, [connection] {
        for (std::size_t sent = 0; sent < mebibyte;) {
            const ssize_t more = write(connection, buffer, mebibyte - sent);
            if (more <= 0) std::exit(1);
            sent += static_cast<std::size_t>(more);
        }
    });
    return 0;
}

// Prints how many pages the hypervisor has left.
int free_pages() {
    xen_sysctl control{};
    control.cmd = XEN_SYSCTL_physinfo;
    control.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    Hypercall call{__HYPERVISOR_sysctl, {reinterpret_cast<std::uintptr_t>(&control), 0, 0, 0, 0}};
    const int device = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
    if (device < 0 || ioctl(device, privcmd_hypercall, &call) < 0) return std::perror("physinfo"), 1;
    std::printf("%llu\n", static_cast<unsigned long long>(control.u.physinfo.free_pages));
    return 0;
}

}  // namespace

int domain_mode(int count, char** words) {
    const std::string_view mode = words[1];
    if (mode == "exit") return 0;  // what the exec row starts
    if (mode == "free") return free_pages();
    calibrate();
    if (mode == "echo") return echo();
    if (mode == "ping" && count == 4)
        return ping(static_cast<std::uint32_t>(std::atoi(words[2])), static_cast<std::uint32_t>(std::atoi(words[3])));
    if (mode == "block" && count == 3) return block(words[2]);
    if (mode == "send" && count == 5) return transmit(words[2], words[3], words[4]);
    return 2;
}

}  // namespace bench
