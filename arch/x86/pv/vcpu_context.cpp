// SPDX-License-Identifier: MIT
#include "arch/x86/pv/vcpu_context.hpp"

#include <cstring>

#include "arch/x86/domain/features.hpp"
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
    u32 mxcsr = 0;
    std::memcpy(&mxcsr, v.fpu_area + 24, sizeof mxcsr);
    mxcsr &= 0xffbf;  // reserved bits would fault when loaded
    std::memcpy(v.fpu_area + 24, &mxcsr, sizeof mxcsr);
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

}  // namespace

Result<> set_vcpu_context(Vcpu& vcpu, const vcpu_guest_context& c) {
    ArchVcpu& v = *vcpu.arch;
    if (!addresses_are_canonical(c) || c.gdt_ents > 7168) return fail(XEN_EINVAL);
    Domain& d = vcpu.domain;
    // What can fail first: page tables and descriptors.
    const Mfn root(c.ctrlreg[3] >> page_shift);
    PageInfo* page = find_page(root);
    if (page == nullptr || !get_reference(*page, d.id)) return fail(XEN_EINVAL);
    if (Result<> r = get_type_use(*page, PageType::l4); !r) {
        put_reference(*page);
        return r;
    }
    u64 frames[14]{};
    for (unsigned i = 0; i < 14; ++i) frames[i] = c.gdt_frames[i];
    if (Result<> r = set_gdt(v, frames, static_cast<u32>(c.gdt_ents)); !r) {
        put_type_use(*page);
        put_reference(*page);
        return r;
    }
    drop_roots(v);
    v.kernel_root = maddr_of(root).raw;
    if (const Mfn user(c.ctrlreg[1] >> page_shift); user.raw != 0) (void)set_user_root(v, user);
    // A vCPU in user mode runs on its user root: without one it would run on nothing.
    const bool in_kernel = (c.flags & VGCF_in_kernel) != 0 || (c.user_regs.cs & 3) != 3;
    if (!in_kernel && v.user_root == 0) {
        drop_roots(v);
        return fail(XEN_EINVAL);
    }

    set_registers(v, c.user_regs);
    set_fpu(v, c);
    v.kernel_mode = in_kernel ? 1 : 0;
    for (unsigned i = 0; i < 256; ++i) v.traps[c.trap_ctxt[i].vector] = {};
    for (const trap_info& t : c.trap_ctxt)
        if (t.address != 0) v.traps[t.vector] = {t.address, static_cast<u16>(t.cs | 3), t.flags};
    v.kernel_ss = c.kernel_ss | 3;
    v.kernel_sp = c.kernel_sp;
    v.event = {c.event_callback_eip, true};
    v.failsafe = {c.failsafe_callback_eip, (c.flags & VGCF_failsafe_disables_events) != 0};
    v.syscall = {c.syscall_callback_eip, (c.flags & VGCF_syscall_disables_events) != 0};
    v.fs_base = c.fs_base;
    v.gs_base_kernel = c.gs_base_kernel;
    v.gs_base_user = c.gs_base_user;
    v.ldt_base = c.ldt_base;
    v.ldt_entries = c.ldt_ents <= 8192 ? static_cast<u32>(c.ldt_ents) : 0;
    v.cr4 = c.ctrlreg[4] & features().guest_cr4_bits;
    v.virtual_ts = (c.ctrlreg[0] & x86::cr0::ts) != 0;
    for (unsigned i = 0; i < 4; ++i)
        v.dr[i] = layout::in_hypervisor(c.debugreg[i]) || !layout::is_canonical(c.debugreg[i]) ? 0 : c.debugreg[i];
    return {};
}

}  // namespace xylem::pv

namespace xylem::port {

Result<> initialise_vcpu(Vcpu& v, u64 context_va) {
    OwnPtr<vcpu_guest_context> c = make_own<vcpu_guest_context>();
    if (!c) return fail(XEN_ENOMEM);
    TRY(GuestPtr<vcpu_guest_context>(context_va).read_many(c.get(), 1));
    {
        Guard g(v.domain.lock);
        if (v.initialised) return fail(XEN_EEXIST);
        v.initialised = true;  // whoever comes second is refused while we work without the lock
    }
    if (Result<> r = pv::set_vcpu_context(v, *c); !r) {
        Guard g(v.domain.lock);
        v.initialised = false;
        return r;
    }
    return {};
}

}  // namespace xylem::port
