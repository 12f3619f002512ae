// SPDX-License-Identifier: MIT
#include "arch/host/machine.hpp"

#include <cstring>

#include "arch/host/guest_map.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"
#include "core/domain/domain.hpp"
#include "cpu/guest_access.hpp"

namespace xylem::port {

using host::machine;

Nanos now() {
    return machine.now;
}
void program_timer(Nanos deadline) {
    ++machine.timer_programs;
    machine.timer[machine.cpu.raw] = deadline;
}
CpuId this_cpu() {
    return machine.cpu;
}
u32 online_cpus() {
    return machine.cpus;
}
void send_event_check(CpuId cpu) {
    ++machine.event_checks;
    machine.event_check[cpu.raw] = true;
}
Vcpu& current() {
    if (Vcpu* v = machine.current[machine.cpu.raw]; v != nullptr) return *v;
    // Before a test says who runs, nobody does.
    static Domain idle{domid_idle};
    static Vcpu nobody{idle, VcpuId(0)};
    return nobody;
}

namespace {

// vCPUs with page tables have guest addresses of their own; for the others they are addresses of the test's memory.
bool has_tables(const Vcpu* v) {
    return v != nullptr && v->arch != nullptr && v->arch->loaded_root != 0;
}
bool is_test_memory(u64 va, usize size) {
    if (va >> 47 != 0 || (va & ~page_mask) == host::bad_guest_address || va == 0) return false;
    return host::guest_map == nullptr || host::guest_map->reachable(va, size);
}

}  // namespace

bool copy_from_guest(void* to, u64 va, usize size) {
    if (has_tables(machine.current[machine.cpu.raw])) {
        if (!cpu::is_guest_range(va, size)) return false;
        host::interleave();
        return host::guest_read(va, to, size);
    }
    if (size == 0) return true;
    if (!is_test_memory(va, size)) return false;
    std::memcpy(to, reinterpret_cast<const void*>(va), size);
    return true;
}
bool copy_to_guest(u64 va, const void* from, usize size) {
    if (has_tables(machine.current[machine.cpu.raw])) {
        if (!cpu::is_guest_range(va, size)) return false;
        host::interleave();
        return host::guest_write(va, from, size);
    }
    if (size == 0) return true;
    if (!is_test_memory(va, size)) return false;
    std::memcpy(reinterpret_cast<void*>(va), from, size);
    return true;
}

void* frame_address(Mfn mfn) {
    return layout::direct_map(maddr_of(mfn));
}
Mfn gfn_to_mfn(Domain&, Gfn gfn) {
    return Mfn(gfn.raw);
}
void set_m2p(Mfn mfn, u64 pfn) {
    host::interleave();
    if (mfn.raw < layout::frame_count()) layout::m2p()[mfn.raw] = pfn;
}
u64 get_m2p(Mfn mfn) {
    return mfn.raw < layout::frame_count() ? layout::m2p()[mfn.raw] : ~u64{0};
}

}  // namespace xylem::port
