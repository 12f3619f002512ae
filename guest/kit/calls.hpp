// SPDX-License-Identifier: MIT
// The hypercalls, one function each, with the types of the ABI. The answer is the hypervisor's: minus an errno, or a number.
#pragma once

#include "abi/xen.hpp"

namespace xylem::kit {

// rcx and r11 are the instruction's own victims. Events may arrive on the way back.
inline long hypercall(u64 number, u64 a = 0, u64 b = 0, u64 c = 0, u64 d = 0, u64 e = 0) {
    register u64 r10 asm("r10") = d;
    register u64 r8 asm("r8") = e;
    long result;
    asm volatile("syscall" : "=a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8) : "a"(number) : "rcx", "r11", "memory");
    return result;
}

inline u64 word(const volatile void* p) {
    return reinterpret_cast<u64>(p);
}

inline long set_trap_table(const trap_info_t* table) {
    return hypercall(__HYPERVISOR_set_trap_table, word(table));
}
inline long call_mmu_update(const mmu_update_t* list, unsigned count, unsigned* done = nullptr, u32 domain = DOMID_SELF) {
    return hypercall(__HYPERVISOR_mmu_update, word(list), count, word(done), domain);
}
inline long set_gdt(const unsigned long* frames, unsigned entries) {
    return hypercall(__HYPERVISOR_set_gdt, word(frames), entries);
}
inline long stack_switch(u64 ss, u64 sp) {
    return hypercall(__HYPERVISOR_stack_switch, ss, sp);
}
inline long fpu_taskswitch(bool set) {
    return hypercall(__HYPERVISOR_fpu_taskswitch, set ? 1 : 0);
}
inline long set_debugreg(unsigned number, u64 value) {
    return hypercall(__HYPERVISOR_set_debugreg, number, value);
}
inline u64 get_debugreg(unsigned number) {
    return static_cast<u64>(hypercall(__HYPERVISOR_get_debugreg, number));
}
inline long update_descriptor(u64 maddr, u64 descriptor) {
    return hypercall(__HYPERVISOR_update_descriptor, maddr, descriptor);
}
inline long memory_op(unsigned op, void* argument) {
    return hypercall(__HYPERVISOR_memory_op, op, word(argument));
}
inline long multicall(multicall_entry_t* list, unsigned count) {
    return hypercall(__HYPERVISOR_multicall, word(list), count);
}
inline long update_va_mapping(u64 va, u64 pte, u64 flags = 0) {
    return hypercall(__HYPERVISOR_update_va_mapping, va, pte, flags);
}
inline long set_timer_op(u64 deadline) {
    return hypercall(__HYPERVISOR_set_timer_op, deadline);
}
inline long xen_version(unsigned op, void* argument = nullptr) {
    return hypercall(__HYPERVISOR_xen_version, op, word(argument));
}
inline long console_io(unsigned op, usize count, const void* buffer) {
    return hypercall(__HYPERVISOR_console_io, op, count, word(buffer));
}
inline long grant_table_op(unsigned op, void* list, unsigned count) {
    return hypercall(__HYPERVISOR_grant_table_op, op, word(list), count);
}
inline long vm_assist(unsigned command, unsigned type) {
    return hypercall(__HYPERVISOR_vm_assist, command, type);
}
inline long vcpu_op(unsigned op, unsigned vcpu, void* argument = nullptr) {
    return hypercall(__HYPERVISOR_vcpu_op, op, vcpu, word(argument));
}
inline long set_segment_base(unsigned which, u64 base) {
    return hypercall(__HYPERVISOR_set_segment_base, which, base);
}
inline long call_mmuext(const mmuext_op_t* list, unsigned count, unsigned* done = nullptr, u32 domain = DOMID_SELF) {
    return hypercall(__HYPERVISOR_mmuext_op, word(list), count, word(done), domain);
}
inline long sched_op(unsigned op, void* argument = nullptr) {
    return hypercall(__HYPERVISOR_sched_op, op, word(argument));
}
inline long callback_op(unsigned op, void* argument) {
    return hypercall(__HYPERVISOR_callback_op, op, word(argument));
}
inline long event_channel_op(unsigned op, void* argument) {
    return hypercall(__HYPERVISOR_event_channel_op, op, word(argument));
}
inline long call_physdev(unsigned op, void* argument) {
    return hypercall(__HYPERVISOR_physdev_op, op, word(argument));
}
inline long platform_op(xen_platform_op_t& request) {
    request.interface_version = XENPF_INTERFACE_VERSION;
    return hypercall(__HYPERVISOR_platform_op, word(&request));
}

}  // namespace xylem::kit
