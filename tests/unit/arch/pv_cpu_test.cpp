// SPDX-License-Identifier: MIT
// The virtual CPU of PV guests [ABI.md 2]: frames on the guest's stack, iret, descriptors, segment bases, debug registers.
#include <gtest/gtest.h>

#include "abi/errno.hpp"
#include "arch/host/memory.hpp"
#include "arch/host/pv.hpp"
#include "arch/x86/pv/guest_entry.hpp"
#include "arch/x86/pv/pte.hpp"
#include "arch/x86/pv/segments.hpp"
#include "arch/x86/pv/traps.hpp"
#include "hw/x86/registers.hpp"

extern "C" void pv_syscall_from_user(xylem::Frame* frame);

namespace xylem::host {
namespace {

using namespace pv;

class PvCpu : public testing::Test {
   protected:
    PvCpu() {
        v.guest.rsp = PvGuest::va(9) + 0xff8;  // not aligned: entry aligns it
        v.guest.rip = 0x1111;
        v.guest.rcx = 0x2222;
        v.guest.r11 = 0x3333;
        v.guest.rflags = 0x40746;  // AC, IF, and NT, DF, TF among others
        v.event = {0x5000, true};
        v.syscall = {0x6000, false};
        for (unsigned i = 0; i < 32; ++i) v.traps[i] = {0x7000 + i, 0xe033, static_cast<u8>(i == 3 ? 3 : 0)};
        v.vcpu->info->evtchn_upcall_mask = 0;
    }
    ~PvCpu() override { EXPECT_EQ(w.check(), ""); }

    static long error(Errno e) { return to_hypercall_result(e); }
    std::vector<u64> stack(u64 words) {
        std::vector<u64> out(words);
        EXPECT_TRUE(guest_load(v.guest.rsp, out.data(), words * 8).ok);
        return out;
    }
    // A user root that has the kernel's lower half.
    void give_user_root() {
        g.words(PvGuest::l1)[8] = 0;
        put_writable(*find_page(g.frames[8]));
        g.words(8)[0] = g.entry(PvGuest::l3, 7);
        mmuext_op op{};
        op.cmd = MMUEXT_NEW_USER_BASEPTR;
        op.arg1.mfn = g.frames[8].raw;
        ASSERT_EQ(w.call(__HYPERVISOR_mmuext_op, w.put(g, op), 1, 0, DOMID_SELF), 0);
    }
    void write(u64 va, const std::vector<u64>& words) { ASSERT_TRUE(guest_store(va, words.data(), words.size() * 8).ok); }

    PvWorld w;
    PvGuest& dom0 = w.add_guest();
    PvGuest& g = w.add_guest();
    ArchVcpu& v = *g.domain->vcpus[0]->arch;
};

TEST_F(PvCpu, an_event_in_kernel_mode_is_a_frame_of_seven_words_on_the_current_stack) {
    deliver_event(v);
    EXPECT_EQ(v.guest.rsp, PvGuest::va(9) + 0xff0 - 56);
    const std::vector<u64> expected{0x2222, 0x3333, 0x1111, 0xe030, 0x40746, PvGuest::va(9) + 0xff8, 0xe02b};
    EXPECT_EQ(stack(7), expected);
    EXPECT_EQ(v.guest.rip, 0x5000u);
    EXPECT_EQ(v.guest.cs, 0xe033u);
    EXPECT_EQ(v.guest.ss, 0xe02bu);
    EXPECT_EQ(v.guest.rflags, 0x646u);  // TF, NT, RF, VM, AC are off; DF and IF stay
    EXPECT_EQ(v.vcpu->info->evtchn_upcall_mask, 1);
}

TEST_F(PvCpu, the_saved_mask_is_in_the_cs_word_and_turns_if_off_in_the_flags) {
    v.vcpu->info->evtchn_upcall_mask = 1;
    inject(v, 6);
    EXPECT_EQ(stack(7)[3], 0xe030u | u64{1} << 32);
    EXPECT_EQ(stack(7)[4], 0x40546u);
}

TEST_F(PvCpu, an_exception_with_an_error_code_has_it_third) {
    inject_with_error(v, 13, 0xabcd);
    const auto s = stack(8);
    EXPECT_EQ(s[2], 0xabcdu);
    EXPECT_EQ(s[3], 0x1111u);
    EXPECT_EQ(v.guest.rip, 0x700du);
    EXPECT_EQ(v.vcpu->info->evtchn_upcall_mask, 0);
}

TEST_F(PvCpu, a_page_fault_tells_the_address_and_the_mode_it_came_from) {
    inject_page_fault(v, 0x123456789000, 7);
    EXPECT_EQ(stack(8)[2], 3u);  // the guest kernel is no user to itself
    EXPECT_EQ(v.cr2, 0x123456789000u);
    EXPECT_EQ(v.vcpu->info->arch.cr2, 0x123456789000u);
}

TEST_F(PvCpu, entering_from_user_mode_switches_stack_root_and_gs) {
    give_user_root();
    registers().gs_base = 0x10;
    registers().kernel_gs_base = 0x20;
    enter_user_mode(v);
    EXPECT_EQ(registers().gs_base, 0x20u);
    EXPECT_EQ(registers().cr3, maddr_of(g.frames[8]).raw);
    inject_page_fault(v, 0x1000, 0);
    EXPECT_EQ(registers().gs_base, 0x10u);
    EXPECT_EQ(registers().cr3, maddr_of(g.frames[0]).raw);
    EXPECT_EQ(v.guest.rsp, v.kernel_sp - 64);
    EXPECT_EQ(stack(8)[2], 4u);
    EXPECT_EQ(stack(8)[4], 0xe033u);
}

TEST_F(PvCpu, a_system_call_clears_the_direction_flag) {
    give_user_root();
    enter_user_mode(v);
    pv_syscall_from_user(&v.guest);
    EXPECT_EQ(v.guest.rip, 0x6000u);
    EXPECT_EQ(v.guest.rflags & 0x400, 0u);
    EXPECT_EQ(stack(7)[4] & 0x400, 0x400u);
}

TEST_F(PvCpu, a_system_call_nobody_registered_is_undefined) {
    give_user_root();
    enter_user_mode(v);
    v.syscall = {};
    pv_syscall_from_user(&v.guest);
    EXPECT_EQ(v.guest.rip, 0x7006u);
    EXPECT_EQ(stack(7)[2], 0x1111u - 2);
}

TEST_F(PvCpu, iret_restores_everything_and_forces_what_must_be) {
    v.guest.rsp = PvGuest::va(10);
    write(v.guest.rsp, {0xaa, 0xbb, 0xcc, 0, 0x9999, 0x10, 0x23246, 0x8888, 0x18});
    v.nmi_in_progress = true;
    EXPECT_EQ(w.call(__HYPERVISOR_iret), 0xaa);
    EXPECT_EQ(v.guest.r11, 0xbbu);
    EXPECT_EQ(v.guest.rcx, 0xccu);
    EXPECT_EQ(v.guest.rip, 0x9999u);
    EXPECT_EQ(v.guest.cs, 0x13u);
    EXPECT_EQ(v.guest.ss, 0x1bu);
    EXPECT_EQ(v.guest.rflags, 0x246u);  // neither IOPL nor VM
    EXPECT_EQ(v.guest.rsp, 0x8888u);
    EXPECT_EQ(v.guest.entry_vector, 0u);
    EXPECT_EQ(v.vcpu->info->evtchn_upcall_mask, 0);
    EXPECT_FALSE(v.nmi_in_progress);
}

TEST_F(PvCpu, iret_with_interrupts_off_masks_events_but_not_the_machines) {
    v.guest.rsp = PvGuest::va(10);
    write(v.guest.rsp, {0, 0, 0, 0, 1, 0x10, 0x46, 2, 0x18});
    w.call(__HYPERVISOR_iret);
    EXPECT_EQ(v.vcpu->info->evtchn_upcall_mask, 1);
    EXPECT_EQ(v.guest.rflags & 0x200, 0x200u);
}

TEST_F(PvCpu, xsa_007_an_address_from_the_guest_is_never_returned_to_by_sysret) {
    for (u64 rip : {u64{0x9999}, u64{1} << 47, u64{1} << 63, ~u64{0} << 48, ~u64{0}}) {
        v.guest.rsp = PvGuest::va(10);
        write(v.guest.rsp, {0xaa, 0xbb, 0xcc, VGCF_in_syscall, rip, 0xe030, 0x246, 0x8888, 0xe02b});
        EXPECT_EQ(w.call(__HYPERVISOR_iret), 0xaa);
        EXPECT_EQ(v.guest.rip, rip);
        EXPECT_EQ(v.guest.entry_vector, 0u) << "hypercall_return in entry.S may take sysret";
        EXPECT_EQ(v.guest.rcx, rip);  // what sysret leaves there
        EXPECT_EQ(v.guest.r11, 0x246u);
    }
}

TEST_F(PvCpu, the_descriptor_windows_are_for_selectors_only) {
    v.ldt_entries = 512;
    v.ldt_base = PvGuest::va(11);
    v.guest.error_code = 0;  // the CPU looks up selector 0x1000 of an empty page
    handle_exception(v, x86::vector::page_fault, gdt_window(v.vcpu->id) + 0x1000);
    EXPECT_EQ(v.guest.rip, 0x700du);
    EXPECT_EQ(stack(8)[2], 0x1000u);
    for (const u64 va : {gdt_window(v.vcpu->id) + 0x1000, ldt_window(v.vcpu->id)}) {
        v.guest.error_code = x86::fault::user | x86::fault::present;  // the guest reads there
        handle_exception(v, x86::vector::page_fault, va);
        EXPECT_EQ(v.guest.rip, 0x700eu);
        EXPECT_EQ(v.cr2, va);
    }
    v.ldt_entries = 0;
}

TEST_F(PvCpu, vcpu_info_may_move_within_shared_info) {
    auto* shared = reinterpret_cast<u8*>(g.domain->shared);
    v.vcpu->info->arch.cr2 = 0x4242;
    vcpu_register_vcpu_info op{};
    op.mfn = g.domain->shared_mfn.raw;
    op.offset = 0x30;  // over its own second half
    ASSERT_EQ(w.call(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, w.put(g, op)), 0);
    EXPECT_EQ(reinterpret_cast<u8*>(v.vcpu->info), shared + 0x30);
    EXPECT_EQ(v.vcpu->info->arch.cr2, 0x4242u);
}

TEST_F(PvCpu, bad_stacks_crash_the_guest) {
    for (u64 sp : {u64{0}, u64{0x8000}, layout::hypervisor_start + 64, layout::hypervisor_end, PvGuest::va(3) + 512}) {
        g.domain->shutting_down = false;
        v.guest.rsp = sp;
        inject(v, 6);
        EXPECT_TRUE(g.domain->shutting_down) << sp;
    }
}

TEST_F(PvCpu, an_exception_without_a_handler_crashes_the_guest) {
    v.traps[6] = {};
    inject(v, 6);
    EXPECT_TRUE(g.domain->shutting_down);
}

TEST_F(PvCpu, xsa_213_iret_inside_a_multicall_ends_it) {
    give_user_root();
    v.guest.rsp = PvGuest::va(10);
    write(v.guest.rsp, {0x55, 0, 0, 0, 1, 0x33, 0x246, 2, 0x2b});
    multicall_entry list[3]{};
    list[0].op = __HYPERVISOR_iret;
    list[1].op = __HYPERVISOR_set_debugreg;
    list[1].args[1] = 0x4242;
    list[1].result = 77;
    const u64 at = w.put(g, list);
    EXPECT_EQ(w.call(__HYPERVISOR_multicall, at, 3), 0x55);
    EXPECT_EQ(v.kernel_mode, 0);
    EXPECT_EQ(v.dr[0], 0u);
}

TEST_F(PvCpu, xsa_212_a_multicall_list_in_the_hypervisor_is_refused) {
    EXPECT_EQ(w.call(__HYPERVISOR_multicall, layout::hypervisor_start, 1), error(XEN_EFAULT));
    EXPECT_EQ(w.call(__HYPERVISOR_multicall, layout::hypervisor_start - 8, 1), error(XEN_EFAULT));
    EXPECT_EQ(w.call(__HYPERVISOR_mmu_update, layout::hypervisor_start, 1, 0, DOMID_SELF), error(XEN_EFAULT));
    EXPECT_EQ(w.call(__HYPERVISOR_mmu_update, ~u64{0} - 7, 1, 0, DOMID_SELF), error(XEN_EFAULT));
}

TEST_F(PvCpu, segment_bases_must_be_canonical) {
    for (u64 which : {0u, 1u, 2u}) {
        EXPECT_EQ(w.call(__HYPERVISOR_set_segment_base, which, u64{1} << 47), error(XEN_EINVAL));
        EXPECT_EQ(w.call(__HYPERVISOR_set_segment_base, which, 0x1000 + which), 0);
    }
    EXPECT_EQ(registers().fs_base, 0x1000u);
    EXPECT_EQ(registers().kernel_gs_base, 0x1001u);
    EXPECT_EQ(registers().gs_base, 0x1002u);
    simulation.loadable_selectors_below = 8;
    EXPECT_EQ(w.call(__HYPERVISOR_set_segment_base, 3, 0x2b), 0);  // not loadable: null, and no error
    EXPECT_EQ(registers().gs, 0);
    EXPECT_EQ(registers().gs_base, 0x1002u);
    EXPECT_EQ(w.call(__HYPERVISOR_set_segment_base, 4, 0), error(XEN_EINVAL));
}

TEST_F(PvCpu, hostile_descriptors_are_refused_and_the_others_lose_their_privilege) {
    for (u64 type = 1; type < 16; ++type) {
        u64 gate = type << 40 | u64{1} << 47;
        EXPECT_FALSE(sanitise_descriptor(gate)) << type;
    }
    u64 code = 0x00af'9b00'0000'ffff;
    EXPECT_TRUE(sanitise_descriptor(code));
    EXPECT_EQ(code, 0x00af'fb00'0000'ffffu);
    u64 both = 0x00ef'9b00'0000'ffff;  // 64-bit and 32-bit at once
    EXPECT_FALSE(sanitise_descriptor(both));
    u64 absent = 0x0000'0900'0000'0000;
    EXPECT_TRUE(sanitise_descriptor(absent));
}

TEST_F(PvCpu, a_gdt_needs_frames_nobody_can_write) {
    const u64 frames[2] = {g.frames[9].raw, g.frames[10].raw};
    EXPECT_EQ(w.call(__HYPERVISOR_set_gdt, w.put(g, frames), 16), error(XEN_EINVAL));
    for (u32 i : {9u, 10u}) ASSERT_EQ(w.call(__HYPERVISOR_update_va_mapping, PvGuest::va(i), g.entry(i, 5), 0), 0);
    g.words(9)[2] = 0x00af'9b00'0000'ffff;
    EXPECT_EQ(w.call(__HYPERVISOR_set_gdt, w.put(g, frames), 1024), 0);
    EXPECT_EQ(g.words(9)[2], 0x00af'fb00'0000'ffffu);
    EXPECT_EQ(w.call(__HYPERVISOR_update_va_mapping, PvGuest::va(9), g.entry(9, 7), 0), error(XEN_EBUSY));
    EXPECT_EQ(w.call(__HYPERVISOR_update_descriptor, g.slot(9, 3).raw, 0x00cf'9300'0000'ffff), 0);
    EXPECT_EQ(g.words(9)[3], 0x00cf'f300'0000'ffffu);
    EXPECT_EQ(w.call(__HYPERVISOR_update_descriptor, g.slot(9, 3).raw, u64{0x8c} << 40), error(XEN_EINVAL));
    EXPECT_EQ(w.call(__HYPERVISOR_update_descriptor, g.slot(3, 3).raw, 0), error(XEN_EINVAL));
    EXPECT_EQ(w.call(__HYPERVISOR_update_descriptor, dom0.slot(9, 3).raw, 0), error(XEN_EINVAL));
    EXPECT_EQ(w.call(__HYPERVISOR_set_gdt, w.put(g, frames), 7169), error(XEN_EINVAL));
    EXPECT_EQ(w.call(__HYPERVISOR_set_gdt, 0, 0), 0);
    EXPECT_EQ(w.call(__HYPERVISOR_update_va_mapping, PvGuest::va(9), g.entry(9, 7), 0), 0);
}

TEST_F(PvCpu, breakpoints_on_the_hypervisor_and_on_ports_are_not_set) {
    EXPECT_EQ(w.call(__HYPERVISOR_set_debugreg, 0, layout::hypervisor_start), error(XEN_EPERM));
    EXPECT_EQ(w.call(__HYPERVISOR_set_debugreg, 0, u64{1} << 47), error(XEN_EPERM));
    EXPECT_EQ(w.call(__HYPERVISOR_set_debugreg, 7, 0x401), 0);
    for (u64 bad : {u64{0x2000}, u64{0x1 | 2 << 16}, u64{0x80 | u64{2} << 28}})  // general detect, ports
        EXPECT_EQ(w.call(__HYPERVISOR_set_debugreg, 7, bad), error(XEN_EPERM)) << bad;
    EXPECT_EQ(registers().dr[7], 0x401u);
    EXPECT_EQ(w.call(__HYPERVISOR_set_debugreg, 7, 0xd400 | 2 << 16), 0);  // one that is off may be anything
    EXPECT_EQ(registers().dr[7], 0x400u | 2 << 16);
    EXPECT_EQ(w.call(__HYPERVISOR_set_debugreg, 7, u64{1} << 32), error(XEN_EINVAL));
    EXPECT_EQ(w.call(__HYPERVISOR_set_debugreg, 6, u64{1} << 32), error(XEN_EINVAL));
    EXPECT_EQ(w.call(__HYPERVISOR_set_debugreg, 8, 0), error(XEN_ENODEV));
}

TEST_F(PvCpu, debug_registers_4_and_5_are_others_names) {
    EXPECT_EQ(w.call(__HYPERVISOR_set_debugreg, 4, 0x4001), 0);
    EXPECT_EQ(w.call(__HYPERVISOR_get_debugreg, 6), w.call(__HYPERVISOR_get_debugreg, 4));
    EXPECT_EQ(v.dr6 & 0xe00f, 0x4001u);
    EXPECT_EQ(w.call(__HYPERVISOR_set_debugreg, 5, 1), 0);
    EXPECT_EQ(w.call(__HYPERVISOR_get_debugreg, 7), 0x401);
    v.cr4 |= x86::cr4::de;
    EXPECT_EQ(w.call(__HYPERVISOR_set_debugreg, 5, 0), error(XEN_ENODEV));
    EXPECT_EQ(w.call(__HYPERVISOR_get_debugreg, 4), error(XEN_ENODEV));
}

// The addresses of breakpoints that are off are not loaded with the vCPU: another's may still be there.
TEST_F(PvCpu, breakpoints_that_come_on_are_the_guests_own) {
    EXPECT_EQ(w.call(__HYPERVISOR_set_debugreg, 1, 0x1234), 0);
    registers().dr[1] = 0x5678;
    EXPECT_EQ(w.call(__HYPERVISOR_set_debugreg, 7, 4), 0);
    EXPECT_EQ(registers().dr[1], 0x1234u);
}

TEST_F(PvCpu, the_kernel_may_move_to_and_from_cr3_and_debug_registers) {
    const auto run = [&](std::array<u8, 3> code) {
        w.put(g, code.data(), code.size(), 0x800);
        v.guest.rip = PvGuest::va(PvGuest::arguments) + 0x800;
        v.guest.rflags = 0x202;
        v.guest.error_code = 0;
        handle_exception(v, 13, 0);
        return v.guest.rip == PvGuest::va(PvGuest::arguments) + 0x803;
    };
    v.guest.rax = 0x401;
    EXPECT_TRUE(run({0x0f, 0x23, 0xf8}));  // mov %rax, %dr7
    v.guest.rax = 0x2001;
    EXPECT_FALSE(run({0x0f, 0x23, 0xf8}));
    EXPECT_TRUE(run({0x0f, 0x21, 0xfb}));  // mov %dr7, %rbx
    EXPECT_EQ(v.guest.rbx, 0x401u);
    v.guest.rax = v.kernel_root;
    EXPECT_TRUE(run({0x0f, 0x22, 0xd8}));  // mov %rax, %cr3
    v.guest.rax = maddr_of(g.frames[9]).raw;
    EXPECT_FALSE(run({0x0f, 0x22, 0xd8}));  // no page table
    v.guest.rax = maddr_of(dom0.frames[0]).raw;
    EXPECT_FALSE(run({0x0f, 0x22, 0xd8}));
    EXPECT_EQ(v.kernel_root, maddr_of(g.frames[0]).raw);
}

TEST_F(PvCpu, the_failsafe_callback_gets_the_selectors_that_are_gone) {
    v.failsafe = {0x5800, true};
    v.lost = {0x10, 0xa3, 0x20, 0x28};
    deliver_failsafe(v);
    EXPECT_EQ(v.guest.rip, 0x5800u);
    EXPECT_EQ(v.vcpu->info->evtchn_upcall_mask, 1);
    const auto s = stack(11);
    const std::vector<u64> first{0x2222, 0x3333, 0x10, 0xa3, 0x20, 0x28, 0x1111};
    EXPECT_TRUE(std::equal(first.begin(), first.end(), s.begin()));
}

TEST_F(PvCpu, int_n_needs_a_gate_that_allows_the_mode) {
    w.put(g, "\xcd\x03", 2, 0x800);
    v.guest.rip = PvGuest::va(PvGuest::arguments) + 0x800;
    v.guest.error_code = 3 << 3 | 2;
    handle_exception(v, 13, 0);
    EXPECT_EQ(v.guest.rip, 0x7003u);
    EXPECT_EQ(stack(7)[2], PvGuest::va(PvGuest::arguments) + 0x802);
    w.put(g, "\xcd\x06", 2, 0x800);
    v.guest.rip = PvGuest::va(PvGuest::arguments) + 0x800;
    v.guest.error_code = 6 << 3 | 2;
    handle_exception(v, 13, 0);
    EXPECT_EQ(v.guest.rip, 0x700du);
}

}  // namespace
}  // namespace xylem::host
