// SPDX-License-Identifier: MIT
// Hypercalls whose arguments make no sense. The hypervisor must live and refuse; what it answers is compared with real Xen.
// Handles among the arguments are null, all ones or an address of the hypervisor's: nothing real can be reached through them.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tests/boot/probe/probe.hpp"

namespace probe {
namespace {

constexpr unsigned nobody = 0x7000;  // a domain that does not exist
constexpr std::uint64_t hypervisor_address = 0xffff'8300'0000'0000;
constexpr std::size_t buffer_bytes = 512;
alignas(4096) unsigned char buffer[4096];

enum class Fill { zero, ones, pointers };
constexpr Fill fills[] = {Fill::zero, Fill::ones, Fill::pointers};

void fill(Fill how, std::size_t from) {
    std::memset(buffer, how == Fill::ones ? 0xff : 0, buffer_bytes);
    if (how == Fill::pointers)
        for (std::size_t at = (from + 7) & ~7ul; at + 8 <= buffer_bytes; at += 8)
            std::memcpy(buffer + at, &hypervisor_address, 8);
}

std::uint64_t next_random() {
    static std::uint64_t state = 0x9e3779b97f4a7c15;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

void fill_random(std::size_t from) {
    for (std::size_t at = 0; at < buffer_bytes; at += 8) {
        const std::uint64_t word = next_random() & (next_random() % 3 ? ~0ull : 0xff);
        std::memcpy(buffer + at, &word, 8);
    }
    std::memset(buffer, 0, from);
}

constexpr int random_tries = 20;

// Numbers of success differ between machines, so any is "ok".
void show(long answer) {
    if (answer >= 0)
        std::printf(" ok");
    else
        std::printf(" %ld", answer);
}

long domctl(unsigned operation, unsigned domain) {
    xen_domctl head{};
    head.cmd = operation;
    head.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    head.domain = static_cast<domid_t>(domain);
    std::memcpy(buffer, &head, offsetof(xen_domctl, u));
    return hypercall(__HYPERVISOR_domctl, address(buffer));
}

long sysctl(unsigned operation) {
    xen_sysctl head{};
    head.cmd = operation;
    head.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    std::memcpy(buffer, &head, offsetof(xen_sysctl, u));
    return hypercall(__HYPERVISOR_sysctl, address(buffer));
}

long platform(unsigned operation) {
    xen_platform_op head{};
    head.cmd = operation;
    head.interface_version = XENPF_INTERFACE_VERSION;
    std::memcpy(buffer, &head, offsetof(xen_platform_op, u));
    return hypercall(__HYPERVISOR_platform_op, address(buffer));
}

constexpr unsigned last_domctl = 90, last_sysctl = 32, last_memory_op = 32;

void domctls(unsigned guest) {
    for (unsigned operation = 0; operation <= last_domctl + 4; ++operation) {
        const unsigned number = operation > last_domctl ? 1000 + operation - last_domctl - 1 : operation;
        if (number == XEN_DOMCTL_destroydomain) continue;  // the guest is still needed
        std::printf("HC domctl %u nobody", number);
        for (Fill how : fills) fill(how, offsetof(xen_domctl, u)), show(domctl(number, nobody));
        std::printf(" guest");
        for (Fill how : fills) fill(how, offsetof(xen_domctl, u)), show(domctl(number, guest));
        for (int i = 0; i < random_tries; ++i) fill_random(offsetof(xen_domctl, u)), domctl(number, guest);
        std::printf("\n");
        if (number == XEN_DOMCTL_pausedomain)
            for (int i = 0; i < random_tries + 3; ++i) domctl(XEN_DOMCTL_unpausedomain, guest);
    }
}

void sysctls() {
    for (unsigned operation = 0; operation <= last_sysctl; ++operation) {
        std::printf("HC sysctl %u", operation);
        for (Fill how : fills) fill(how, offsetof(xen_sysctl, u)), show(sysctl(operation));
        // random arguments could unplug a CPU or take a page away
        const bool harmful = operation == XEN_SYSCTL_cpu_hotplug || operation == XEN_SYSCTL_page_offline_op ||
                             operation == XEN_SYSCTL_cpupool_op || operation == XEN_SYSCTL_debug_keys ||
                             operation == XEN_SYSCTL_pm_op;
        for (int i = 0; !harmful && i < random_tries; ++i) fill_random(offsetof(xen_sysctl, u)), sysctl(operation);
        std::printf("\n");
    }
}

void platform_ops() {
    // Not those that set the clock, sleep, or unplug and add parts of the machine.
    constexpr unsigned operations[] = {0, 31, 32, 33, 35, 39, 48, 50, 52, 53, 54, 55, 60, 61, 63, 64, 99};
    for (unsigned operation : operations) {
        std::printf("HC platform_op %u", operation);
        for (Fill how : {Fill::ones, Fill::pointers}) fill(how, offsetof(xen_platform_op, u)), show(platform(operation));
        std::printf("\n");
    }
}

// Words that end in zeros name domain 0: its event channels would be closed, as asked.
bool resets_us(unsigned number, unsigned operation, Fill how) {
    constexpr unsigned continued = 14;  // the hypervisor's own number for the rest of a long reset
    return number == __HYPERVISOR_event_channel_op && how != Fill::ones &&
           (operation == EVTCHNOP_reset || operation == continued);
}

// Operations that take a pointer to their arguments; `operations` of `number`, each with bad addresses and bad contents.
void plain_calls(const char* name, unsigned number, unsigned operations, Fill first) {
    for (unsigned operation = 0; operation < operations; ++operation) {
        std::printf("HC %s %u addresses", name, operation);
        for (std::uint64_t bad : {std::uint64_t{0}, ~std::uint64_t{0}, hypervisor_address, std::uint64_t{0x0000'8000'0000'0000}})
            show(hypercall(number, operation, bad, 1));
        std::printf(" contents");
        for (Fill how : fills)
            if (how >= first && !resets_us(number, operation, how))
                fill(how, 0), show(hypercall(number, operation, address(buffer), 1));
        std::printf("\n");
    }
}

void others() {
    plain_calls("memory_op", __HYPERVISOR_memory_op, last_memory_op, Fill::ones);
    plain_calls("event_channel_op", __HYPERVISOR_event_channel_op, 16, Fill::ones);
    // counts far too great, and arrays that end in the hypervisor
    for (unsigned operation = 0; operation < 14; ++operation) {
        std::printf("HC grant_table_op %u", operation);
        for (std::uint64_t count : {std::uint64_t{1}, std::uint64_t{0xffff'ffff}})
            show(hypercall(__HYPERVISOR_grant_table_op, operation, hypervisor_address, count));
        fill(Fill::ones, 0), show(hypercall(__HYPERVISOR_grant_table_op, operation, address(buffer), 1));
        std::printf("\n");
    }
    for (unsigned operation = 0; operation < 16; ++operation) {
        std::printf("HC vcpu_op %u", operation);
        show(hypercall(__HYPERVISOR_vcpu_op, operation, 0xffff, hypervisor_address));
        show(hypercall(__HYPERVISOR_vcpu_op, operation, ~0ull, 0));
        std::printf("\n");
    }
    // whole numbers: calls that nobody has, and calls with nothing but bad addresses
    for (unsigned number : {6u, 11u, 13u, 21u, 27u, 28u, 31u, 33u, 34u, 38u, 39u, 40u, 41u, 42u, 43u, 47u, 50u, 55u, 56u, 63u}) {
        std::printf("HC call %u", number);
        show(hypercall(number, ~0ull, hypervisor_address, ~0ull, hypervisor_address));
        std::printf("\n");
    }
    for (unsigned number : {1u, 22u, 26u}) {
        std::printf("HC call %u", number);
        show(hypercall(number, hypervisor_address, 1, 0, DOMID_SELF));
        show(hypercall(number, 0, 0xffff'ffff, 0, nobody));
        std::printf("\n");
    }
}

}  // namespace

int hostile(unsigned guest) {
    domctls(guest);
    sysctls();
    platform_ops();
    others();
    std::printf("HC-END\n");
    return 0;
}

int refused() {
    if (hypercall(__HYPERVISOR_xen_version) < 0) return std::puts("no hypercall gets through to the hypervisor"), 2;
    int bad = 0;
    const auto look = [&bad](const char* name, unsigned operation, long answer) {
        if (answer < 0) return;
        std::printf("not refused: %s %u gave %ld\n", name, operation, answer);
        ++bad;
    };
    for (unsigned operation = 1; operation <= last_domctl; ++operation)
        for (unsigned domain : {0u, static_cast<unsigned>(DOMID_SELF), nobody})
            fill(Fill::zero, 0), look("domctl", operation, domctl(operation, domain));
    for (unsigned operation = 1; operation <= last_sysctl; ++operation)
        fill(Fill::zero, 0), look("sysctl", operation, sysctl(operation));
    for (unsigned operation = 1; operation <= 70; ++operation)
        fill(Fill::zero, 0), look("platform_op", operation, platform(operation));
    // another domain's memory and time
    xen_foreign_memory_map map{};
    map.domid = 0;
    look("memory_op", XENMEM_set_memory_map, hypercall(__HYPERVISOR_memory_op, XENMEM_set_memory_map, address(&map)));
    domid_t dom0 = 0;
    look("memory_op", XENMEM_current_reservation, hypercall(__HYPERVISOR_memory_op, XENMEM_current_reservation, address(&dom0)));
    xen_memory_reservation take{};
    take.nr_extents = 1;
    take.domid = 0;
    const long taken = hypercall(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, address(&take));
    look("memory_op", XENMEM_decrease_reservation, taken == 0 ? -1 : taken);  // real Xen tells how many: none
    evtchn_reset reset{};
    reset.dom = 0;
    look("event_channel_op", EVTCHNOP_reset, hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_reset, address(&reset)));
    std::printf("not refused: %d\n", bad);
    return bad ? 1 : 0;
}

}  // namespace probe
