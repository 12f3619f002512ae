// SPDX-License-Identifier: MIT
// Each family of hypercalls that has no guest of its own: good and bad paths, and pointers that lead nowhere [ABI 4].
#include "guest/kit/calls.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/story.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

void* const unmapped = reinterpret_cast<void*>(0x1000);
void* const hypervisor = reinterpret_cast<void*>(0xffff830000000000);
void* const wild = reinterpret_cast<void*>(0x1234567812345678);

void numbers() {
    for (const unsigned nr : {11u, 38u, 39u, 43u, 47u, 50u, 55u, 56u, 63u, 64u, 1000u, 0xffffffffu}) {
        text::FixedText<40> name;
        text::format(name, "numbers/{}", nr);
        story::answers(name.view(), hypercall(nr), XEN_ENOSYS);
    }
    for (const unsigned nr : {4u, 6u, 16u, 19u, 22u, 27u, 28u, 31u, 34u, 37u, 40u, 41u, 42u}) {
        text::FixedText<40> name;
        text::format(name, "numbers/{} with nothing", nr);
        story::show(name.view(), hypercall(nr));
    }
    story::answers("numbers/the upper half of rax counts", hypercall(u64{5} << 32 | __HYPERVISOR_xen_version, XENVER_version),
                   XEN_ENOSYS);
}

// All registers but the result, rcx and r11 come back as they were; so do the flags.
void registers_survive() {
    u64 rdi = 0, rsi = 0x22, rdx = 0x33, rax = __HYPERVISOR_xen_version;
    register u64 r8 asm("r8") = 0x44;
    register u64 r9 asm("r9") = 0x55;
    register u64 r10 asm("r10") = 0x66;
    u64 flags;
    asm volatile("stc; syscall; pushf; pop %%rcx"
                 : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r8), "+r"(r9), "+r"(r10), "=c"(flags)::"r11", "memory");
    story::is("registers/arguments survive", rdi == 0 && rsi == 0x22 && rdx == 0x33 && r8 == 0x44 && r9 == 0x55 && r10 == 0x66);
    story::equal("registers/carry survives", static_cast<i64>(flags & 1), 1);
}

void version() {
    static char text[1024];
    for (unsigned op = 0; op <= 12; ++op) {
        if (op == XENVER_commandline || op == XENVER_build_id || op == XENVER_changeset || op == XENVER_compile_info) continue;
        text::FixedText<40> name;
        text::format(name, "version/{} to nowhere", op);
        story::show(name.view(), xen_version(op, unmapped));
        name.clear();
        text::format(name, "version/{} to the hypervisor", op);
        story::show(name.view(), xen_version(op, hypervisor));
        name.clear();
        text::format(name, "version/{}", op);
        if (op != XENVER_build_id) story::show(name.view(), xen_version(op, text));
    }
    story::succeeds("version/extraversion", xen_version(XENVER_extraversion, text));
    story::show_text("version/extraversion's text", text);
    story::succeeds("version/capabilities", xen_version(XENVER_capabilities, text));
    story::is("version/capabilities name PV of 64 bits", std::string_view(text).find("xen-3.0-x86_64") != std::string_view::npos);
    story::show("version/commandline", xen_version(XENVER_commandline, text));
    xen_platform_parameters_t p{};
    story::succeeds("version/platform_parameters", xen_version(XENVER_platform_parameters, &p));
    story::show_hex("version/virt_start", p.virt_start);
    story::equal("version/pagesize", xen_version(XENVER_pagesize), 4096);
    story::show("version/compile_info", xen_version(XENVER_compile_info, text));
    static u8 id[64];
    *reinterpret_cast<u32*>(id) = 0;
    story::show("version/build_id length", xen_version(XENVER_build_id, nullptr));
}

void scheduling() {
    story::succeeds("sched/yield", sched_op(SCHEDOP_yield));
    story::show("sched/shutdown from nowhere", sched_op(SCHEDOP_shutdown, unmapped));
    story::show("sched/poll from nowhere", sched_op(SCHEDOP_poll, unmapped));
    sched_poll_t poll{};
    poll.nr_ports = 129;
    story::show("sched/poll of 129 ports", sched_op(SCHEDOP_poll, &poll));
    evtchn_port_t port = 4095;
    poll.nr_ports = 1;
    poll.timeout = 1;
    set_xen_guest_handle_raw(poll.ports, &port);
    story::show("sched/poll of a port that is free", sched_op(SCHEDOP_poll, &poll));
    port = 5000000;
    story::show("sched/poll of a port that cannot be", sched_op(SCHEDOP_poll, &poll));
    set_xen_guest_handle_raw(poll.ports, static_cast<evtchn_port_t*>(unmapped));
    story::show("sched/poll with bad ports", sched_op(SCHEDOP_poll, &poll));
    poll.nr_ports = 0;
    story::show("sched/poll for time only", sched_op(SCHEDOP_poll, &poll));
    sched_remote_shutdown_t remote{.domain_id = 5, .reason = 0};
    story::show("sched/remote_shutdown of domain 5", sched_op(SCHEDOP_remote_shutdown, &remote));
    sched_watchdog_t watchdog{.id = 77, .timeout = 5};
    story::show("sched/watchdog 77", sched_op(SCHEDOP_watchdog, &watchdog));
    watchdog = {.id = 0, .timeout = 100};
    const long id = sched_op(SCHEDOP_watchdog, &watchdog);
    story::show("sched/watchdog", id);
    watchdog = {.id = static_cast<u32>(id), .timeout = 0};
    story::show("sched/watchdog off", sched_op(SCHEDOP_watchdog, &watchdog));
    sched_pin_override_t pin{.pcpu = 9};
    story::show("sched/pin_override", sched_op(SCHEDOP_pin_override, &pin));
    story::show("sched/operation 8", sched_op(8, &pin));
    story::show("sched/operation 99", sched_op(99, &pin));
}

void vcpus() {
    for (unsigned op = 0; op <= 14; ++op) {
        if (op == VCPUOP_down || op == VCPUOP_send_nmi) continue;
        text::FixedText<40> name;
        text::format(name, "vcpu/{} of no vCPU", op);
        story::show(name.view(), vcpu_op(op, 31));
        if (op == VCPUOP_up || op == VCPUOP_is_up || op == VCPUOP_stop_periodic_timer || op == VCPUOP_stop_singleshot_timer)
            continue;
        name.clear();
        text::format(name, "vcpu/{} with a bad pointer", op);
        story::show(name.view(), vcpu_op(op, 0, unmapped));
    }
    story::equal("vcpu/is_up", vcpu_op(VCPUOP_is_up, 0), 1);
    story::show("vcpu/up of a running one", vcpu_op(VCPUOP_up, 0));
    story::show("vcpu/8192", vcpu_op(VCPUOP_is_up, 8192));
    story::show("vcpu/operation 99", vcpu_op(99, 0));
    static vcpu_runstate_info_t state;
    story::succeeds("vcpu/get_runstate_info", vcpu_op(VCPUOP_get_runstate_info, 0, &state));
    story::equal("vcpu/it runs", state.state, RUNSTATE_running);
    vcpu_register_runstate_memory_area_t area{};
    area.addr.p = word(&state);
    state = {};
    story::succeeds("vcpu/register_runstate", vcpu_op(VCPUOP_register_runstate_memory_area, 0, &area));
    story::is("vcpu/it is filled at once", state.state_entry_time != 0);
    vcpu_get_physid_t physical{};
    story::show("vcpu/get_physid", vcpu_op(VCPUOP_get_physid, 0, &physical));
}

// An address of the vcpu_info: one page, ours, once.
void vcpu_info_place() {
    void* const page = allocate_pages();
    vcpu_register_vcpu_info_t where{.mfn = frame_at(page).raw, .offset = 4096 - 32, .rsvd = 0};
    story::show("vcpu_info/across a page's end", vcpu_op(VCPUOP_register_vcpu_info, 0, &where));
    where = {.mfn = 0xfffffffff, .offset = 0, .rsvd = 0};
    story::show("vcpu_info/beyond memory", vcpu_op(VCPUOP_register_vcpu_info, 0, &where));
    where = {.mfn = frame_at(kernel_root()).raw, .offset = 0, .rsvd = 0};
    story::show("vcpu_info/in a table", vcpu_op(VCPUOP_register_vcpu_info, 0, &where));
    where = {.mfn = frame_at(page).raw, .offset = 13, .rsvd = 0};
    story::show("vcpu_info/not aligned", vcpu_op(VCPUOP_register_vcpu_info, 0, &where));
    where = {.mfn = frame_at(page).raw, .offset = 128, .rsvd = 0};
    mask_events();
    const long r = vcpu_op(VCPUOP_register_vcpu_info, 0, &where);
    story::show("vcpu_info/register", r);
    if (r == 0) {
        this_cpu().info = reinterpret_cast<vcpu_info_t*>(static_cast<u8*>(page) + 128);
        story::equal("vcpu_info/mask came along", this_cpu().info->evtchn_upcall_mask, 1);
        story::equal("vcpu_info/pending for safety", this_cpu().info->evtchn_upcall_pending, 1);
        story::show_hex("vcpu_info/selector", this_cpu().info->evtchn_pending_sel);
    }
    story::show("vcpu_info/again", vcpu_op(VCPUOP_register_vcpu_info, 0, &where));
}

void console() {
    story::show("console/write from nowhere", console_io(CONSOLEIO_write, 5, unmapped));
    story::show("console/write from the hypervisor", console_io(CONSOLEIO_write, 5, hypervisor));
    story::show("console/write of nothing", console_io(CONSOLEIO_write, 0, "x"));
    char buffer[8];
    story::show("console/read without input", console_io(CONSOLEIO_read, sizeof buffer, buffer));
    story::show("console/read to nowhere", console_io(CONSOLEIO_read, 8, unmapped));
    story::show("console/operation 2", console_io(2, 0, buffer));
}

void assists() {
    for (unsigned type = 0; type <= 6; ++type) {
        text::FixedText<40> name;
        text::format(name, "assist/enable {}", type);
        story::show(name.view(), vm_assist(VMASST_CMD_enable, type));
    }
    story::show("assist/enable 32", vm_assist(VMASST_CMD_enable, 32));
    story::show("assist/disable 32", vm_assist(VMASST_CMD_disable, 32));
    story::show("assist/disable 4", vm_assist(VMASST_CMD_disable, 4));
    story::show("assist/enable 33", vm_assist(VMASST_CMD_enable, 33));
    story::show("assist/enable 64", vm_assist(VMASST_CMD_enable, 64));
    story::show("assist/command 2", vm_assist(2, 0));
}

void callbacks() {
    for (u16 type = 0; type <= 9; ++type) {
        if (type == CALLBACKTYPE_event || type == CALLBACKTYPE_failsafe) continue;
        callback_register_t c{.type = type, .flags = 0, .address = stub_of(6)};
        text::FixedText<40> name;
        text::format(name, "callback/register {}", type);
        story::show(name.view(), callback_op(CALLBACKOP_register, &c));
        callback_unregister_t u{.type = type, ._unused = 0};
        name.clear();
        text::format(name, "callback/unregister {}", type);
        story::show(name.view(), callback_op(CALLBACKOP_unregister, &u));
    }
    callback_register_t c{.type = CALLBACKTYPE_syscall, .flags = 0, .address = 0x1234567812345678};
    story::show("callback/not canonical", callback_op(CALLBACKOP_register, &c));
    c.address = 0xffff830000000000;
    story::show("callback/in the hypervisor", callback_op(CALLBACKOP_register, &c));
    story::show("callback/from nowhere", callback_op(CALLBACKOP_register, unmapped));
    story::show("callback/operation 2", callback_op(2, &c));
    install_traps();
}

void debug_registers() {
    story::show("dr/0 in the hypervisor", set_debugreg(0, 0xffff830000000000));
    story::show("dr/0 not canonical", set_debugreg(0, 0x1234567812345678));
    story::show("dr/4", set_debugreg(4, 0));
    story::show("dr/5", set_debugreg(5, 0));
    story::show("dr/8", set_debugreg(8, 0));
    story::show("dr/7 with gd", set_debugreg(7, 0x2000));
    story::show_hex("dr/7 after gd", get_debugreg(7));
    story::show("dr/7 with an io breakpoint", set_debugreg(7, 0x20001));
    story::show_hex("dr/7 after io", get_debugreg(7));
    story::show("dr/7 of 64 bits", set_debugreg(7, u64{1} << 40));
    story::show("dr/6 all ones", set_debugreg(6, 0xffffffff));
    story::show_hex("dr/6 after it", get_debugreg(6));
    story::show("dr/6 of 64 bits", set_debugreg(6, u64{1} << 40));
    story::show("dr/get 8", static_cast<i64>(get_debugreg(8)));
    story::show("dr/get 4", static_cast<i64>(get_debugreg(4)));
    set_debugreg(7, 0);
}

void platform() {
    xen_platform_op_t op{};
    op.cmd = 9999;
    story::show("platform/operation 9999", platform_op(op));
    op.cmd = XENPF_settime32;
    op.interface_version = 5;
    story::show("platform/wrong version", hypercall(__HYPERVISOR_platform_op, word(&op)));
    story::show("platform/from nowhere", hypercall(__HYPERVISOR_platform_op, word(unmapped)));
    op = {};
    op.cmd = XENPF_firmware_info;
    op.u.firmware_info.type = 77;
    story::show("platform/firmware type 77", platform_op(op));
    op.u.firmware_info.type = XEN_FW_KBD_SHIFT_FLAGS;
    story::show("platform/keyboard", platform_op(op));
    op.u.firmware_info.type = XEN_FW_EFI_INFO;
    story::show("platform/efi", platform_op(op));
    op = {};
    op.cmd = XENPF_get_cpuinfo;
    op.u.pcpu_info.xen_cpuid = 0;
    story::show("platform/cpu 0", platform_op(op));
    story::show("platform/max_present", op.u.pcpu_info.max_present);
    story::show("platform/flags", op.u.pcpu_info.flags);
    op.u.pcpu_info.xen_cpuid = 99;
    story::show("platform/cpu 99", platform_op(op));
    op = {};
    op.cmd = XENPF_settime64;
    op.u.settime64.mbz = 1;
    story::show("platform/settime64 with a reserved word", platform_op(op));
    op = {};
    op.cmd = XENPF_change_freq;
    story::show("platform/change_freq", platform_op(op));
    op = {};
    op.cmd = XENPF_read_memtype;
    story::show("platform/read_memtype 0", platform_op(op));
    op.u.read_memtype.reg = 99;
    story::show("platform/read_memtype 99", platform_op(op));
    op = {};
    op.cmd = XENPF_add_memtype;
    op.u.add_memtype.mfn = 0xd0000;
    op.u.add_memtype.nr_mfns = 256;
    op.u.add_memtype.type = 1;
    story::show("platform/add_memtype write-combining", platform_op(op));
    op.cmd = XENPF_del_memtype;
    op.u.del_memtype.handle = 99;
    story::show("platform/del_memtype 99", platform_op(op));
    op = {};
    op.cmd = XENPF_cpu_online;
    op.u.cpu_ol.cpuid = 99;
    story::show("platform/cpu 99 online", platform_op(op));
}

void multicalls() {
    static multicall_entry_t list[4];
    const auto fill = [] {
        for (auto& e : list) e = {};
        list[0].op = __HYPERVISOR_xen_version;
        list[1].op = 63;
        list[2].op = __HYPERVISOR_set_debugreg;
        list[2].args[0] = 8;
        list[3].op = __HYPERVISOR_xen_version;
        list[3].args[0] = XENVER_pagesize;
    };
    fill();
    story::succeeds("multicall/four", multicall(list, 4));
    story::show_hex("multicall/first", list[0].result);
    story::show("multicall/second", static_cast<i64>(list[1].result));
    story::show("multicall/third", static_cast<i64>(list[2].result));
    story::show("multicall/fourth", static_cast<i64>(list[3].result));
    story::succeeds("multicall/none", multicall(list, 0));
    story::show("multicall/from nowhere", multicall(static_cast<multicall_entry_t*>(unmapped), 1));
    story::show("multicall/from the hypervisor", multicall(static_cast<multicall_entry_t*>(hypervisor), 1));
    story::show("multicall/not canonical", multicall(static_cast<multicall_entry_t*>(wild), 1));
    fill();
    list[0].op = __HYPERVISOR_multicall;
    list[0].args[0] = word(&list[1]);
    list[0].args[1] = 1;
    story::show("multicall/nested", multicall(list, 2));
    story::show("multicall/nested one's result", static_cast<i64>(list[0].result));
    story::show("multicall/the next one's result", static_cast<i64>(list[1].result));
    // The list ends in the middle of nowhere: what was possible was done.
    const u64 va = reserve_window(2);
    void* const page = allocate_pages();
    if (!map(va, pte::make(frame_at(page), pte::data))) story::error("no window");
    auto* edge = reinterpret_cast<multicall_entry_t*>(va + page_size) - 1;
    edge->op = __HYPERVISOR_xen_version;
    story::show("multicall/second entry not mapped", multicall(edge, 2));
    story::show_hex("multicall/first entry's result", edge->result);
    // A read-only list: results cannot be told.
    if (!map(va, pte::make(frame_at(page), pte::read_only))) story::error("no window");
    flush_page(va);
    story::show("multicall/read-only list", multicall(edge, 1));
}

void timers() {
    story::show("timer/set_timer_op", set_timer_op(0));
    story::show("timer/set_timer_op far away", set_timer_op(u64{1} << 62));
    set_timer_op(0);
    vcpu_set_periodic_timer_t p{.period_ns = 1000};
    story::show("timer/periodic of 1 us", vcpu_op(VCPUOP_set_periodic_timer, 0, &p));
    p.period_ns = 0;
    story::show("timer/periodic of 0", vcpu_op(VCPUOP_set_periodic_timer, 0, &p));
    p.period_ns = ~u64{0};
    story::show("timer/periodic of ever", vcpu_op(VCPUOP_set_periodic_timer, 0, &p));
    story::succeeds("timer/stop periodic", vcpu_op(VCPUOP_stop_periodic_timer, 0));
    vcpu_set_singleshot_timer_t s{.timeout_abs_ns = 1, .flags = VCPU_SSHOTTMR_future};
    story::show("timer/past with the flag", vcpu_op(VCPUOP_set_singleshot_timer, 0, &s));
    s.flags = 2;
    story::show("timer/flag 2", vcpu_op(VCPUOP_set_singleshot_timer, 0, &s));
    story::succeeds("timer/stop singleshot", vcpu_op(VCPUOP_stop_singleshot_timer, 0));
}

void stacks() {
    story::succeeds("stack/switch", stack_switch(flat_ss, this_cpu().user_stack_top));
    story::show("stack/in the hypervisor", stack_switch(flat_ss, 0xffff830000000000));
    story::show("stack/not canonical", stack_switch(flat_ss, 0x1234567812345678));
    story::show("stack/selector 0", stack_switch(0, this_cpu().user_stack_top));
    story::show("stack/selector of code", stack_switch(flat_cs64, this_cpu().user_stack_top));
    story::show("stack/selector 0x1003", stack_switch(0x1003, this_cpu().user_stack_top));
    stack_switch(flat_ss, this_cpu().user_stack_top);
}

}  // namespace

void kit::guest_main() {
    numbers();
    registers_survive();
    version();
    scheduling();
    vcpus();
    console();
    assists();
    callbacks();
    debug_registers();
    platform();
    multicalls();
    timers();
    stacks();
    vcpu_info_place();
    story::end();
}
