// SPDX-License-Identifier: MIT
// The probe: what the boot tests ask of a hypervisor that Xen's own tools do not.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "tests/boot/probe/probe.hpp"

namespace probe {
namespace {

struct Hypercall {  // Linux's, not Xen's
    std::uint64_t number, arguments[5];
};
constexpr unsigned long privcmd_hypercall = _IOC(_IOC_NONE, 'P', 0, sizeof(Hypercall));

int device() {
    static const int opened = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
    if (opened < 0) {
        std::perror("/dev/xen/privcmd");
        std::exit(99);
    }
    return opened;
}

}  // namespace

long hypercall(unsigned number, std::uint64_t one, std::uint64_t two, std::uint64_t three, std::uint64_t four) {
    Hypercall words{number, {one, two, three, four, 0}};
    const int answer = ioctl(device(), privcmd_hypercall, &words);
    return answer < 0 ? -errno : answer;
}

int free_pages() {
    xen_sysctl control{};
    control.cmd = XEN_SYSCTL_physinfo;
    control.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    const long answer = hypercall(__HYPERVISOR_sysctl, address(&control));
    if (answer < 0) return std::printf("physinfo: %ld\n", answer), 1;
    std::printf("%llu\n", static_cast<unsigned long long>(control.u.physinfo.free_pages));
    return 0;
}

int cpu_times() {
    for (unsigned id = 0;;) {
        xen_domctl control{};
        control.cmd = XEN_DOMCTL_getdomaininfo;
        control.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
        control.domain = static_cast<domid_t>(id);
        if (hypercall(__HYPERVISOR_domctl, address(&control)) < 0) return 0;
        const auto& info = control.u.getdomaininfo;
        std::printf("%u %llu\n", info.domain, static_cast<unsigned long long>(info.cpu_time));
        id = info.domain + 1u;
    }
}

int wrong_version() {
    xen_domctl domain{};
    domain.cmd = XEN_DOMCTL_getdomaininfo;
    domain.interface_version = 0x17;
    xen_sysctl system{};
    system.cmd = XEN_SYSCTL_physinfo;
    system.interface_version = 0x17;
    const long first = hypercall(__HYPERVISOR_domctl, address(&domain));
    const long second = hypercall(__HYPERVISOR_sysctl, address(&system));
    std::printf("domctl %ld sysctl %ld\n", first, second);
    return first == -EACCES && second == -EACCES ? 0 : 1;
}

}  // namespace probe

int main(int count, char** words) {
    using namespace probe;
    setvbuf(stdout, nullptr, _IOLBF, 0);
    const std::string_view command = count > 1 ? words[1] : "";
    if (command == "free-pages") return free_pages();
    if (command == "cpu-times") return cpu_times();
    if (command == "wrong-version") return wrong_version();
    if (command == "tsc") return time_stamp();
    if (command == "tsc-mode" && count > 2) return time_stamp_mode(static_cast<unsigned>(std::atoi(words[2])));
    if (command == "same-policy" && count > 2) return same_policy(static_cast<unsigned>(std::atoi(words[2])));
    if (command == "ports") return take_ports();
    if (command == "grants") return take_grants();
    if (command == "refused") return refused();
    if (command == "hostile" && count > 2) return hostile(static_cast<unsigned>(std::atoi(words[2])));
    if (command == "port" && count > 2)
        return port(static_cast<unsigned>(std::strtoul(words[2], nullptr, 16)),
                    count > 3 ? std::strtol(words[3], nullptr, 16) : -1);
    if (command == "frame" && count > 2) return frame(std::strtoul(words[2], nullptr, 16));
    std::puts(
        "probe: free-pages, cpu-times, wrong-version, tsc, tsc-mode DOMID, same-policy DOMID, ports, grants, refused, hostile "
        "DOMID, port NUMBER [BYTE], frame NUMBER");
    return 2;
}
