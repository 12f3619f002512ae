// SPDX-License-Identifier: MIT
#include "arch/x86/pv/guest_entry.hpp"

#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/mm/tlb.hpp"
#include "core/domain/domain.hpp"
#include "core/port/machine.hpp"
#include "cpu/guest_access.hpp"
#include "cpu/instructions.hpp"
#include "hw/x86/registers.hpp"

namespace xylem::pv {
namespace {

constexpr u64 cleared_on_entry = x86::rflags::tf | x86::rflags::nt | x86::rflags::rf | x86::rflags::vm | x86::rflags::ac;

u64 virtual_rflags(const ArchVcpu& v) {
    const u64 real = v.guest.rflags & ~(x86::rflags::interrupts | x86::rflags::iopl);
    const u64 iopl = u64{v.virtual_iopl_shown} << 12;
    return real | iopl | (v.vcpu->info->evtchn_upcall_mask != 0 ? 0 : x86::rflags::interrupts);
}

struct Entry {
    u64 address = 0;
    bool has_error = false;
    u32 error_code = 0;
    bool mask_events = false;
};

// What an entry interrupts, as its frame tells it.
struct Interrupted {
    u64 sp, cs_and_mask, rflags;
};

// Looks at what runs, switches to kernel mode, and tells on which stack the frame goes.
inline Interrupted interrupt(ArchVcpu& v) {
    const u64 mask = v.vcpu->info->evtchn_upcall_mask;
    const u64 rflags = virtual_rflags(v);
    u64 sp = v.guest.rsp;
    u64 cs = v.guest.cs & 0xffff;
    if (v.kernel_mode != 0) {
        cs &= ~u64{3};
    } else {
        enter_kernel_mode(v);
        sp = v.kernel_sp;
    }
    return {sp & ~u64{15}, cs | (mask << 32), rflags};
}

// The kernel goes on at `address` with its frame at `sp`.
inline void continue_at(ArchVcpu& v, u64 address, u64 sp, bool mask_events) {
    if (mask_events) v.vcpu->info->evtchn_upcall_mask = 1;
    Frame& f = v.guest;
    f.rip = address;
    f.cs = GUEST_CS64;
    f.ss = GUEST_DS;
    f.rsp = sp;
    f.rflags &= ~cleared_on_entry;
    f.entry_vector = frame_by_syscall;
}

// rcx, r11, [error code], rip, cs and saved mask, rflags, rsp, ss; in ascending order on the guest's stack.
void enter(ArchVcpu& v, const Entry& e) {
    Frame& f = v.guest;
    const Interrupted was = interrupt(v);
    const u64 words = e.has_error ? 8 : 7;
    const u64 sp = was.sp - words * 8;
    u64 at = sp;
    bool ok = e.address != 0 && cpu::is_guest_range(sp, words * 8);
    if (ok) {
        cpu::user_access_begin();
        const auto push = [&at](u64 value) {
            const bool done = cpu::write_u64(at, value);
            at += 8;
            return done;
        };
        ok = push(f.rcx) && push(f.r11) && (!e.has_error || push(e.error_code)) && push(f.rip) && push(was.cs_and_mask) &&
             push(was.rflags) && push(f.rsp) && push(f.ss & 0xffff);
        cpu::user_access_end();
    }
    if (!ok) [[unlikely]] {
        crash_domain(v.vcpu->domain, e.address == 0 ? "an exception, and its trap table has no handler for it"
                                                    : "its kernel stack cannot take an exception frame");
        return;
    }
    continue_at(v, e.address, sp, e.mask_events);
}

Entry trap_entry(const ArchVcpu& v, u32 vector) {
    const Trap& t = v.traps[vector];
    return {t.address, false, 0, (t.flags & 4) != 0};
}

}  // namespace

void enter_kernel_mode(ArchVcpu& v) {
    v.kernel_mode = 1;
    cpu::swapgs();
    load_root(v, v.kernel_root);
}

void enter_user_mode(ArchVcpu& v) {
    if (v.user_root == 0) {
        crash_domain(v.vcpu->domain, "entering user mode without a user page table (MMUEXT_NEW_USER_BASEPTR)");
        return;
    }
    v.kernel_mode = 0;
    cpu::swapgs();
    load_root(v, v.user_root);
}

void inject(ArchVcpu& v, u32 vector) {
    enter(v, trap_entry(v, vector));
}

void inject_with_error(ArchVcpu& v, u32 vector, u32 error_code) {
    Entry e = trap_entry(v, vector);
    e.has_error = true;
    e.error_code = error_code;
    enter(v, e);
}

void inject_page_fault(ArchVcpu& v, u64 address, u32 error_code) {
    v.cr2 = address;
    v.vcpu->info->arch.cr2 = address;
    error_code = v.kernel_mode != 0 ? error_code & ~x86::fault::user : error_code | x86::fault::user;
    inject_with_error(v, x86::vector::page_fault, error_code);
}

void deliver_event(ArchVcpu& v) {
    enter(v, {v.event.address, false, 0, true});
}

void deliver_nmi(ArchVcpu& v) {
    v.nmi_in_progress = true;
    Entry e = trap_entry(v, x86::vector::nmi);
    e.mask_events = true;
    enter(v, e);
}

// rcx, r11, ds, es, fs, gs, then the plain frame.
void deliver_failsafe(ArchVcpu& v) {
    Frame& f = v.guest;
    const Interrupted was = interrupt(v);
    const u64 words[] = {f.rcx, f.r11,           v.lost.ds,  v.lost.es, v.lost.fs,    v.lost.gs,
                         f.rip, was.cs_and_mask, was.rflags, f.rsp,     f.ss & 0xffff};
    const u64 sp = was.sp - sizeof words;
    if (v.failsafe.address == 0 || !port::copy_to_guest(sp, words, sizeof words))
        return crash_domain(v.vcpu->domain, "its selectors are gone, and its failsafe callback cannot be entered");
    continue_at(v, v.failsafe.address, sp, v.failsafe.mask_events);
}

long hypercall_iret(u64, u64, u64, u64, u64, u64) {
    ArchVcpu& v = current_arch();
    Frame& f = v.guest;
    u64 rax = 0, r11 = 0, rcx = 0, flags = 0, rip = 0, cs = 0, rflags = 0, rsp = 0, ss = 0;
    const u64 at = f.rsp;
    bool ok = cpu::is_guest_range(at, 72);
    if (ok) {
        cpu::user_access_begin();
        ok = cpu::read_u64(at, rax) && cpu::read_u64(at + 8, r11) && cpu::read_u64(at + 16, rcx) &&
             cpu::read_u64(at + 24, flags) && cpu::read_u64(at + 32, rip) && cpu::read_u64(at + 40, cs) &&
             cpu::read_u64(at + 48, rflags) && cpu::read_u64(at + 56, rsp) && cpu::read_u64(at + 64, ss);
        cpu::user_access_end();
    }
    if (!ok) [[unlikely]] {
        crash_domain(v.vcpu->domain, "iret: its stack is not readable");
        return 0;
    }
    f.rip = rip;
    f.cs = (cs & 0xffff) | 3;
    f.rflags = (rflags & ~(x86::rflags::iopl | x86::rflags::vm | x86::rflags::vif | x86::rflags::vip)) | x86::rflags::interrupts |
               x86::rflags::always_one;
    f.rsp = rsp;
    f.ss = (ss & 0xffff) | 3;
    // Whatever the guest's frame asks for, the way back is iret: it checks the address, where sysret would fault in the
    // hypervisor on the guest's stack [XSA-7].
    f.entry_vector = 0;
    const bool as_by_sysret = (flags & VGCF_in_syscall) != 0;
    f.r11 = as_by_sysret ? f.rflags : r11;
    f.rcx = as_by_sysret ? rip : rcx;
    v.vcpu->info->evtchn_upcall_mask = (rflags & x86::rflags::interrupts) != 0 ? 0 : 1;
    v.nmi_in_progress = false;
    if (std::exchange(v.nmi_held, false)) v.vcpu->pending_work.fetch_or(work::nmi);
    if ((cs & 3) == 3) enter_user_mode(v);
    return static_cast<long>(rax);
}

namespace {

// A `syscall` that goes to `callback` of the guest kernel. Where it registered none, or already runs, the instruction is
// undefined.
void deliver_system_call(ArchVcpu& v, const Callback& callback) {
    if (callback.address == 0 || v.kernel_mode != 0) [[unlikely]] {
        v.guest.rip -= 2;
        v.guest.entry_vector = 0;
        return inject(v, x86::vector::invalid_opcode);
    }
    enter(v, {callback.address, false, 0, callback.mask_events});
    v.guest.rflags &= ~x86::rflags::df;
}

ArchVcpu& vcpu_of(Frame* frame) {
    return *reinterpret_cast<ArchVcpu*>(reinterpret_cast<u8*>(frame) + ARCH_FROM_FRAME);
}

}  // namespace

// What entry code does in a few instructions, in full: it comes here where there is no handler or the kernel's stack is bad.
extern "C" void pv_syscall_from_user(Frame* frame) {
    ArchVcpu& v = vcpu_of(frame);
    deliver_system_call(v, v.syscall);
}

extern "C" void pv_syscall32(Frame* frame) {
    ArchVcpu& v = vcpu_of(frame);
    deliver_system_call(v, v.syscall32);
}

}  // namespace xylem::pv
