// SPDX-License-Identifier: MIT
#include "machine.hpp"

#include <cstring>

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
    return *machine.current[machine.cpu.raw];
}
bool copy_from_guest(void* to, u64 guest_va, usize size) {
    if (guest_va >> 47 != 0 || (guest_va & ~page_mask) == host::bad_guest_address || (guest_va == 0 && size != 0)) return false;
    if (size != 0) std::memcpy(to, reinterpret_cast<const void*>(guest_va), size);
    return true;
}
bool copy_to_guest(u64 guest_va, const void* from, usize size) {
    if (guest_va >> 47 != 0 || (guest_va & ~page_mask) == host::bad_guest_address || (guest_va == 0 && size != 0)) return false;
    if (size != 0) std::memcpy(reinterpret_cast<void*>(guest_va), from, size);
    return true;
}

}  // namespace xylem::port
