// SPDX-License-Identifier: MIT
#include "guest/kit/smp.hpp"

#include <cstring>

#include "guest/kit/calls.hpp"
#include "guest/kit/console.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/traps.hpp"
#include "hw/x86/registers.hpp"

extern "C" {
extern const char kit_vcpu_entry[], kit_event_entry[], kit_failsafe_entry[], kit_syscall_entry[];
[[noreturn]] void kit_vcpu_start(xylem::u64 id);
}

namespace xylem::kit {
namespace {

constexpr unsigned stack_order = 3;

void describe(vcpu_guest_context_t& c, const Cpu& cpu) {
    c.flags = VGCF_in_kernel;
    c.user_regs.rip = word(kit_vcpu_entry);
    c.user_regs.rsp = cpu.stack_top;
    c.user_regs.rdi = cpu.id;
    c.user_regs.cs = flat_cs64;
    c.user_regs.ss = flat_ss;
    c.user_regs.eflags = x86::rflags::interrupts;
    const trap_info_t* table = trap_table();
    for (unsigned v = 0; v < 256; ++v) c.trap_ctxt[table[v].vector] = table[v];
    c.kernel_ss = flat_ss;
    c.kernel_sp = cpu.user_stack_top;
    c.gs_base_kernel = word(&cpu);
    c.event_callback_eip = word(kit_event_entry);
    c.failsafe_callback_eip = word(kit_failsafe_entry);
    c.syscall_callback_eip = word(kit_syscall_entry);
    c.ctrlreg[3] = xen_pfn_to_cr3(frame_at(kernel_root()).raw);
}

Result<> initialise(Cpu& cpu, unsigned id) {
    if (cpu.stack_top == 0) {
        void* const stack = allocate_pages(stack_order);
        void* const user_stack = allocate_pages(1);
        if (stack == nullptr || user_stack == nullptr) return fail(XEN_ENOMEM);
        cpu.stack_top = word(stack) + (page_size << stack_order);
        cpu.user_stack_top = word(user_stack) + 2 * page_size;
    }
    cpu.self = &cpu;
    cpu.id = id;
    cpu.info = &shared().vcpu_info[id];
    auto* context = static_cast<vcpu_guest_context_t*>(allocate_pages(1));
    static_assert(sizeof *context <= 2 * page_size);
    if (context == nullptr) return fail(XEN_ENOMEM);
    describe(*context, cpu);
    const long r = vcpu_op(VCPUOP_initialise, id, context);
    free_pages(context, 1);
    if (r < 0 && r != -static_cast<long>(XEN_EEXIST)) return fail(static_cast<Errno>(-r));
    return {};
}

}  // namespace

unsigned vcpu_count() {
    unsigned n = 0;
    while (n < max_vcpus && vcpu_op(VCPUOP_is_up, n) >= 0) ++n;
    return n;
}

Result<> start_vcpu(unsigned id, void (*function)(void*), void* argument) {
    if (id == 0 || id >= max_vcpus) return fail(XEN_EINVAL);
    Cpu& cpu = cpu_of(id);
    if (cpu.running) return fail(XEN_EBUSY);
    cpu.start = function;
    cpu.argument = argument;
    if (cpu.stack_top == 0) {
        if (const auto r = initialise(cpu, id); !r) return r;
    }
    cpu.running = true;
    if (const long r = vcpu_op(VCPUOP_up, id); r < 0) {
        cpu.running = false;
        return fail(static_cast<Errno>(-r));
    }
    return {};
}

void wait_for_vcpu(unsigned id) {
    while (cpu_of(id).running || vcpu_op(VCPUOP_is_up, id) == 1) yield();
}

}  // namespace xylem::kit

// A vCPU that went down goes on behind VCPUOP_down when it is started again.
void kit_vcpu_start(xylem::u64 id) {
    using namespace xylem::kit;
    Cpu& cpu = cpu_of(static_cast<unsigned>(id));
    set_up_cpu(cpu);
    install_traps();
    while (true) {
        cpu.start(cpu.argument);
        mask_events();
        cpu.running = false;
        vcpu_op(VCPUOP_down, cpu.id);
    }
}
