// SPDX-License-Identifier: MIT
#include "arch/x86/pv/vcpu_context.hpp"

#include <cstring>

#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/features.hpp"
#include "arch/x86/pv/debug_registers.hpp"
#include "arch/x86/pv/domain_policy.hpp"
#include "arch/x86/pv/pte.hpp"
#include "arch/x86/pv/roots.hpp"
#include "arch/x86/pv/segments.hpp"
#include "core/domain/domain.hpp"
#include "core/mem/heap.hpp"
#include "core/port/guest.hpp"
#include "core/port/sched.hpp"
#include "hw/x86/registers.hpp"

namespace xylem::pv {
namespace {

void set_registers(ArchVcpu& v, const cpu_user_regs& r) {
    Frame& f = v.guest;
    f = {};
    f.r15 = r.r15;
    f.r14 = r.r14;
    f.r13 = r.r13;
    f.r12 = r.r12;
    f.rbp = r.rbp;
    f.rbx = r.rbx;
    f.r11 = r.r11;
    f.r10 = r.r10;
    f.r9 = r.r9;
    f.r8 = r.r8;
    f.rax = r.rax;
    f.rcx = r.rcx;
    f.rdx = r.rdx;
    f.rsi = r.rsi;
    f.rdi = r.rdi;
    f.rip = r.rip;
    f.cs = (r.cs & 0xffff) | 3U;
    f.ss = (r.ss & 0xffff) | 3U;
    f.rsp = r.rsp;
    f.rflags = (r.rflags & ~(x86::rflags::iopl | x86::rflags::vm | x86::rflags::vif | x86::rflags::vip)) |
               x86::rflags::interrupts | x86::rflags::always_one;
    v.virtual_iopl = static_cast<u8>((r.rflags >> 12) & 3);
    v.ds = static_cast<u16>(r.ds);
    v.es = static_cast<u16>(r.es);
    v.fs = static_cast<u16>(r.fs);
    v.gs = static_cast<u16>(r.gs);
}

// Legacy registers only; a fresh image keeps the initial state of everything else.
void set_fpu(ArchVcpu& v, const vcpu_guest_context& c) {
    if ((c.flags & VGCF_I387_VALID) == 0) return;
    constexpr usize legacy_bytes = 512;
    std::memcpy(v.fpu_area, &c.fpu_ctxt, legacy_bytes);
    clean_mxcsr(v.fpu_area);
    if (features().has_xsave) {
        const u64 components[2] = {3, 0};
        std::memcpy(v.fpu_area + legacy_bytes, components, sizeof components);
    }
}

bool addresses_are_canonical(const vcpu_guest_context& c) {
    for (u64 a : {u64{c.user_regs.rip}, u64{c.event_callback_eip}, u64{c.failsafe_callback_eip}, u64{c.syscall_callback_eip},
                  u64{c.fs_base}, u64{c.gs_base_kernel}, u64{c.gs_base_user}})
        if (!layout::is_canonical(a)) return false;
    for (const trap_info& t : c.trap_ctxt)
        if (!layout::is_canonical(t.address)) return false;
    return true;
}

// The first context of a vCPU brings its page tables and descriptors along.
Result<> take_resources(ArchVcpu& v, const vcpu_guest_context& c) {
    const Mfn root(c.ctrlreg[3] >> page_shift);
    TRY(take_root(v.vcpu->domain, root));
    u64 frames[14]{};
    for (unsigned i = 0; i < 14; ++i) frames[i] = c.gdt_frames[i];
    if (Result<> r = set_gdt(v, frames, static_cast<u32>(c.gdt_ents)); !r) {
        put_root(maddr_of(root).raw);
        return r;
    }
    drop_roots(v);
    v.kernel_root = maddr_of(root).raw;
    show_m2p(root);
    if (const Mfn user(c.ctrlreg[1] >> page_shift); user.raw != 0) (void)set_user_root(v, user);
    v.ldt_base = c.ldt_base;
    v.ldt_entries = c.ldt_ents <= 8192 && (c.ldt_base & page_mask) == 0 && !layout::in_hypervisor(c.ldt_base)
                        ? static_cast<u32>(c.ldt_ents)
                        : 0;
    return {};
}

bool has_same_resources(const ArchVcpu& v, const vcpu_guest_context& c) {
    bool same = (c.ctrlreg[3] & ~page_mask) == v.kernel_root && (c.ctrlreg[1] & ~page_mask) == v.user_root &&
                c.gdt_ents == v.gdt_entries && c.ldt_ents == v.ldt_entries && (c.ldt_ents == 0 || c.ldt_base == v.ldt_base);
    for (unsigned i = 0; i < v.gdt_frames.size(); ++i)
        same = same && (i * 512 >= v.gdt_entries || c.gdt_frames[i] == v.gdt_frames[i]);
    return same;
}

void set_entry_points(ArchVcpu& v, const vcpu_guest_context& c) {
    for (unsigned i = 0; i < 256; ++i) {
        const trap_info& t = c.trap_ctxt[i];
        v.traps[i] = t.address == 0 ? Trap{} : Trap{t.address, static_cast<u16>(t.cs | 3), t.flags};
    }
    v.event = {c.event_callback_eip, true};
    v.failsafe = {c.failsafe_callback_eip, (c.flags & VGCF_failsafe_disables_events) != 0};
    v.syscall = {c.syscall_callback_eip, (c.flags & VGCF_syscall_disables_events) != 0};
}

void set_control_registers(ArchVcpu& v, const vcpu_guest_context& c) {
    v.cr4 = c.ctrlreg[4] & allowed_cr4(v.vcpu->domain);
    v.virtual_ts = (c.ctrlreg[0] & x86::cr0::ts) != 0;
    for (unsigned i = 0; i < 4; ++i) v.dr[i] = is_guest_breakpoint(c.debugreg[i]) ? c.debugreg[i] : 0;
    v.dr6 = sanitised_dr6(c.debugreg[6]);
    v.dr7 = sanitised_dr7(c.debugreg[7]);
}

}  // namespace

void clean_mxcsr(u8* area) {
    constexpr u32 loadable = 0xffbf;
    u32 mxcsr = 0;
    std::memcpy(&mxcsr, area + 24, sizeof mxcsr);
    mxcsr &= loadable;
    std::memcpy(area + 24, &mxcsr, sizeof mxcsr);
}

Result<> set_vcpu_context(Vcpu& vcpu, const vcpu_guest_context& c) {
    ArchVcpu& v = *vcpu.arch;
    if (!addresses_are_canonical(c) || c.gdt_ents > 7168) return fail(XEN_EINVAL);
    // A vCPU in user mode runs on its user root: without one it would run on nothing.
    const bool in_kernel = (c.flags & VGCF_in_kernel) != 0 || (c.user_regs.cs & 3) != 3;
    if (v.kernel_root != 0) {
        if (!has_same_resources(v, c)) return fail(XEN_EOPNOTSUPP);
    } else if (Result<> r = take_resources(v, c); !r) {
        return r;
    }
    if (!in_kernel && v.user_root == 0) {
        if (vcpu.setup != Setup::done) release_resources(v);
        return fail(XEN_EINVAL);
    }
    if (vcpu.id == VcpuId(0)) set_vm_assist(vcpu.domain, c.vm_assist);
    set_registers(v, c.user_regs);
    v.virtual_iopl_shown = vcpu.domain.arch->architectural_iopl ? v.virtual_iopl : 0;
    set_fpu(v, c);
    v.kernel_mode = in_kernel ? 1 : 0;
    v.kernel_ss = c.kernel_ss | 3;
    v.kernel_sp = c.kernel_sp;
    v.fs_base = c.fs_base;
    v.gs_base_kernel = c.gs_base_kernel;
    v.gs_base_user = c.gs_base_user;
    set_entry_points(v, c);
    set_control_registers(v, c);
    return {};
}

void release_resources(ArchVcpu& v) {
    drop_ldt(v);
    drop_gdt(v);
    drop_roots(v);
}

}  // namespace xylem::pv

namespace xylem::port {

Result<> initialise_vcpu(Vcpu& v, u64 context_va) {
    OwnPtr<vcpu_guest_context> c = make_own<vcpu_guest_context>();
    if (!c) return fail(XEN_ENOMEM);
    TRY(GuestPtr<vcpu_guest_context>(context_va).read_many(c.get(), 1));
    return pv::set_vcpu_context(v, *c);
}

}  // namespace xylem::port
