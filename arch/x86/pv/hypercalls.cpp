// SPDX-License-Identifier: MIT
#include "arch/x86/pv/hypercalls.hpp"

#include <array>

#include "abi/mca.hpp"
#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/pv/guest_entry.hpp"
#include "arch/x86/pv/mmu.hpp"
#include "arch/x86/pv/segments.hpp"
#include "core/control/control.hpp"
#include "core/evtchn/events.hpp"
#include "core/grant/table.hpp"
#include "core/irq/pirq.hpp"
#include "core/mem/memory_op.hpp"
#include "core/port/guest.hpp"
#include "core/port/preempt.hpp"
#include "core/sched/hypercalls.hpp"

namespace xylem::pv {
namespace {

long no_such(u64, u64, u64, u64, u64, u64) {
    return -static_cast<long>(XEN_ENOSYS);
}

// Core's hypercalls take the caller first.
template <auto F>
long core1(u64 a, u64, u64, u64, u64, u64) {
    return F(*current_arch().vcpu, a);
}
template <auto F>
long core2(u64 a, u64 b, u64, u64, u64, u64) {
    return F(*current_arch().vcpu, a, b);
}
template <auto F>
long core3(u64 a, u64 b, u64 c, u64, u64, u64) {
    return F(*current_arch().vcpu, a, b, c);
}

struct Row {
    unsigned number;
    const char* name;
    Hypercall entry;
};

constexpr Row rows[] = {
    {__HYPERVISOR_set_trap_table, "set_trap_table", hypercall_set_trap_table},
    {__HYPERVISOR_mmu_update, "mmu_update", hypercall_mmu_update},
    {__HYPERVISOR_set_gdt, "set_gdt", hypercall_set_gdt},
    {__HYPERVISOR_stack_switch, "stack_switch", hypercall_stack_switch},
    {__HYPERVISOR_fpu_taskswitch, "fpu_taskswitch", hypercall_fpu_taskswitch},
    {__HYPERVISOR_platform_op, "platform_op", hypercall_platform_op},
    {__HYPERVISOR_set_debugreg, "set_debugreg", hypercall_set_debugreg},
    {__HYPERVISOR_get_debugreg, "get_debugreg", hypercall_get_debugreg},
    {__HYPERVISOR_update_descriptor, "update_descriptor", hypercall_update_descriptor},
    {__HYPERVISOR_memory_op, "memory_op", core2<memory_op>},
    {__HYPERVISOR_multicall, "multicall", hypercall_multicall},
    {__HYPERVISOR_update_va_mapping, "update_va_mapping", hypercall_update_va_mapping},
    {__HYPERVISOR_set_timer_op, "set_timer_op", core1<set_timer_op>},
    {__HYPERVISOR_xen_version, "xen_version", hypercall_xen_version},
    {__HYPERVISOR_console_io, "console_io", hypercall_console_io},
    {__HYPERVISOR_grant_table_op, "grant_table_op", core3<grant::grant_table_op>},
    {__HYPERVISOR_vm_assist, "vm_assist", hypercall_vm_assist},
    {__HYPERVISOR_update_va_mapping_otherdomain, "update_va_mapping_otherdomain", hypercall_update_va_mapping_otherdomain},
    {__HYPERVISOR_iret, "iret", hypercall_iret},
    {__HYPERVISOR_vcpu_op, "vcpu_op", core3<vcpu_op>},
    {__HYPERVISOR_set_segment_base, "set_segment_base", hypercall_set_segment_base},
    {__HYPERVISOR_mmuext_op, "mmuext_op", hypercall_mmuext_op},
    {__HYPERVISOR_sched_op, "sched_op", core2<sched_op>},
    {__HYPERVISOR_callback_op, "callback_op", hypercall_callback_op},
    {__HYPERVISOR_event_channel_op, "event_channel_op", core2<evtchn::event_channel_op>},
    {__HYPERVISOR_sysctl, "sysctl", core1<control::sysctl>},
    {__HYPERVISOR_domctl, "domctl", core1<control::domctl>},
    {__HYPERVISOR_physdev_op, "physdev_op", core2<irq::physdev_op>},
    {__HYPERVISOR_mca, "mca", hypercall_mca},
};

consteval HypercallTable make_entries() {
    HypercallTable table{};
    for (Hypercall& h : table) h = no_such;
    for (const Row& r : rows) table[r.number] = r.entry;
    return table;
}

}  // namespace

extern "C" constinit const HypercallTable hypercall_entries = make_entries();

const char* hypercall_name(u64 number) {
    for (const Row& r : rows)
        if (r.number == number) return r.name;
    return "?";
}

long hypercall_multicall(u64 list_va, u64 count, u64, u64, u64, u64) {
    ArchVcpu& v = current_arch();
    const GuestPtr<multicall_entry> list(list_va);
    multicall_entry call;
    for (u32 i = 0; i < static_cast<u32>(count); ++i) {
        const GuestPtr<multicall_entry> at = list.element(i);
        if (!at.read_into(call)) return -static_cast<long>(XEN_EFAULT);
        long result = -static_cast<long>(XEN_ENOSYS);
        if (call.op < hypercall_count && call.op != __HYPERVISOR_multicall) {
            const auto& a = call.args;
            v.cpu->recorder->record(recorder::Event::make(recorder::Kind::multicall, 0, call.op, a[0]));
            result = hypercall_entries[call.op](a[0], a[1], a[2], a[3], a[4], a[5]);
        }
        // A call that left kernel mode (iret) ended the guest's stay: nothing after it runs [XSA-213].
        if (v.kernel_mode == 0) [[unlikely]]
            return result;
        if (!field(at, &multicall_entry::result).write(static_cast<xen_ulong_t>(result))) return -static_cast<long>(XEN_EFAULT);
        if ((i & 15) == 15 && !port::preemption_point()) break;
    }
    return 0;
}

}  // namespace xylem::pv
