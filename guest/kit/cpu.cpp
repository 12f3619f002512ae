// SPDX-License-Identifier: MIT
#include "guest/kit/cpu.hpp"

#include "base/panic.hpp"
#include "guest/kit/calls.hpp"

extern "C" char kit_boot_stack_end[];

namespace xylem::kit {
namespace {

Cpu cpus[max_vcpus];
alignas(16) u8 first_user_stack[8192];
vcpu_info_t before_shared_info;

}  // namespace

Cpu& cpu_of(unsigned id) {
    XYLEM_BUG_ON(id >= max_vcpus);
    return cpus[id];
}

void set_up_cpu(Cpu& cpu) {
    cpu.self = &cpu;
    cpu.id = static_cast<u32>(&cpu - cpus);
    before_shared_info.evtchn_upcall_mask = 1;
    if (cpu.info == nullptr) cpu.info = &before_shared_info;
    if (cpu.id == 0) {
        cpu.stack_top = word(kit_boot_stack_end);
        cpu.user_stack_top = word(first_user_stack) + sizeof first_user_stack;
    }
    set_segment_base(SEGBASE_GS_KERNEL, word(&cpu));
    if (const long r = stack_switch(flat_ss, cpu.user_stack_top); r != 0) panic("stack_switch: {}", r);
    cpu.running = true;
}

void unmask_events() {
    vcpu_info_t* const info = this_cpu().info;
    compiler_barrier();
    *const_cast<volatile u8*>(&info->evtchn_upcall_mask) = 0;
    compiler_barrier();
    if (*const_cast<volatile u8*>(&info->evtchn_upcall_pending) != 0) xen_version(XENVER_version);
}

void block() {
    sched_op(SCHEDOP_block);
}
void yield() {
    sched_op(SCHEDOP_yield);
}

}  // namespace xylem::kit
