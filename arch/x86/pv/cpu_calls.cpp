// SPDX-License-Identifier: MIT
// Small hypercalls about the virtual CPU: traps, stacks, callbacks, debug registers, assists.
#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/pv/debug_registers.hpp"
#include "arch/x86/pv/hypercalls.hpp"
#include "arch/x86/pv/privileged.hpp"
#include "arch/x86/pv/vcpu_context.hpp"
#include "core/port/guest.hpp"
#include "core/port/guest_cpu.hpp"

namespace xylem::pv {

long hypercall_set_trap_table(u64 traps_va, u64, u64, u64, u64, u64) {
    ArchVcpu& v = current_arch();
    if (traps_va == 0) {
        for (unsigned i = 0; i < 256; ++i) v.traps[i] = {};
        return 0;
    }
    const GuestPtr<trap_info> list(traps_va);
    for (unsigned i = 0; i <= 256; ++i) {
        const Result<trap_info> t = list.element(i).read();
        if (!t) return to_hypercall_result(t.error());
        if (t->address == 0) return 0;
        if (!layout::is_canonical(t->address)) return -static_cast<long>(XEN_EINVAL);
        v.traps[t->vector] = {t->address, static_cast<u16>(t->cs | 3), t->flags};
    }
    return 0;
}

long hypercall_stack_switch(u64 ss, u64 sp, u64, u64, u64, u64) {
    ArchVcpu& v = current_arch();
    v.kernel_ss = ss | 3;
    v.kernel_sp = sp;
    return 0;
}

long hypercall_fpu_taskswitch(u64 set, u64, u64, u64, u64, u64) {
    set_task_switched(current_arch(), set != 0);
    return 0;
}

long hypercall_set_debugreg(u64 reg, u64 value, u64, u64, u64, u64) {
    const Result<> done = set_debug_register(current_arch(), reg, value);
    return done ? 0 : to_hypercall_result(done.error());
}

long hypercall_get_debugreg(u64 reg, u64, u64, u64, u64, u64) {
    const Result<u64> value = get_debug_register(current_arch(), reg);
    return value ? static_cast<long>(*value) : to_hypercall_result(value.error());
}

namespace {

Callback* callback_of(ArchVcpu& v, u32 type) {
    switch (type) {
        case CALLBACKTYPE_event: return &v.event;
        case CALLBACKTYPE_failsafe: return &v.failsafe;
        case CALLBACKTYPE_syscall: return &v.syscall;
        case CALLBACKTYPE_syscall32: return &v.syscall32;
        case CALLBACKTYPE_sysenter: return &v.sysenter;
        default: return nullptr;
    }
}

}  // namespace

long hypercall_callback_op(u64 command, u64 arg, u64, u64, u64, u64) {
    ArchVcpu& v = current_arch();
    if (command == CALLBACKOP_register) {
        const Result<callback_register> r = GuestPtr<callback_register>(arg).read();
        if (!r) return to_hypercall_result(r.error());
        if (!layout::is_canonical(r->address)) return -static_cast<long>(XEN_EINVAL);
        if (r->type == CALLBACKTYPE_nmi) {
            v.traps[2] = {r->address, GUEST_CS64, 0};
            return 0;
        }
        Callback* c = callback_of(v, r->type);
        if (c == nullptr) return -static_cast<long>(XEN_ENOSYS);
        *c = {r->address, (r->flags & CALLBACKF_mask_events) != 0};
        return 0;
    }
    if (command != CALLBACKOP_unregister) return -static_cast<long>(XEN_ENOSYS);
    const Result<callback_unregister> r = GuestPtr<callback_unregister>(arg).read();
    if (!r) return to_hypercall_result(r.error());
    if (r->type == CALLBACKTYPE_nmi) {
        v.traps[2] = {};
        return 0;
    }
    // The others are needed for as long as the guest runs.
    return -static_cast<long>(callback_of(v, r->type) != nullptr ? XEN_EINVAL : XEN_ENOSYS);
}

namespace {
constexpr u64 known_vm_assists = 1U << VMASST_TYPE_4gb_segments | 1U << VMASST_TYPE_4gb_segments_notify |
                                 1U << VMASST_TYPE_writable_pagetables | 1U << VMASST_TYPE_pae_extended_cr3 |
                                 1U << VMASST_TYPE_architectural_iopl | 1U << VMASST_TYPE_runstate_update_flag |
                                 1ULL << VMASST_TYPE_m2p_strict;
}

long hypercall_vm_assist(u64 command, u64 type, u64, u64, u64, u64) {
    Domain& d = current_arch().vcpu->domain;
    if (command > VMASST_CMD_disable) return -static_cast<long>(XEN_ENOSYS);
    if (type >= 64 || ((known_vm_assists >> type) & 1) == 0) return -static_cast<long>(XEN_EINVAL);
    const u64 bit = u64{1} << type;
    set_vm_assist(d, command == VMASST_CMD_enable ? d.arch->vm_assist | bit : d.arch->vm_assist & ~bit);
    return 0;
}

// Only two of them change what we do; writes to page tables, for one, are always emulated.
void set_vm_assist(Domain& d, u64 assists) {
    d.arch->vm_assist = assists & known_vm_assists;
    d.arch->architectural_iopl = (assists >> VMASST_TYPE_architectural_iopl & 1) != 0;
    d.arch->runstate_update_flag = (assists >> VMASST_TYPE_runstate_update_flag & 1) != 0;
}

}  // namespace xylem::pv

namespace xylem::port {

void set_iopl(Vcpu& v, u32 iopl) {
    v.arch->virtual_iopl = static_cast<u8>(iopl & 3);
    v.arch->virtual_iopl_shown = v.domain.arch->architectural_iopl ? v.arch->virtual_iopl : 0;
}

void set_iobitmap(Vcpu& v, u64 va, u32 ports) {
    v.arch->iobitmap_va = va;
    v.arch->iobitmap_ports = ports;
}

}  // namespace xylem::port
