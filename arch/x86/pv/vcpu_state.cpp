// SPDX-License-Identifier: MIT
// A vCPU's state as tools read, save and restore it; the way in of its first half is vcpu_context.cpp.
#include "core/port/vcpu_state.hpp"

#include <cstring>

#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/features.hpp"
#include "arch/x86/pv/domain_policy.hpp"
#include "arch/x86/pv/vcpu_context.hpp"
#include "arch/x86/time/wall_clock.hpp"
#include "core/domain/domain.hpp"
#include "hw/x86/registers.hpp"

namespace xylem::pv {
namespace {

// Two words before the XSAVE area, in the form tools save and restore: XCR0 as the guest set it, and everything it ever used.
constexpr u64 header_bytes = 16;
constexpr u64 legacy_bytes = 512;
constexpr u64 xsave_header_bytes = 64;

void get_registers(const ArchVcpu& v, bool blocked, cpu_user_regs& r) {
    const Frame& f = v.guest;
    r.r15 = f.r15;
    r.r14 = f.r14;
    r.r13 = f.r13;
    r.r12 = f.r12;
    r.rbp = f.rbp;
    r.rbx = f.rbx;
    r.r11 = f.r11;
    r.r10 = f.r10;
    r.r9 = f.r9;
    r.r8 = f.r8;
    r.rax = blocked ? 0 : f.rax;  // what the hypercall it waits in will answer
    r.rcx = f.rcx;
    r.rdx = f.rdx;
    r.rsi = f.rsi;
    r.rdi = f.rdi;
    r.rip = f.rip;
    r.cs = static_cast<u16>(f.cs);
    r.ss = static_cast<u16>(f.ss);
    r.rsp = f.rsp;
    r.rflags = (f.rflags & ~x86::rflags::iopl) | u64{v.virtual_iopl} << 12;
    r.ds = v.ds;
    r.es = v.es;
    r.fs = v.fs;
    r.gs = v.gs;
}

u32 flags_of(const Vcpu& vcpu, const ArchVcpu& v) {
    u32 flags = VGCF_I387_VALID;
    if (v.kernel_mode != 0) flags |= VGCF_in_kernel;
    if (!vcpu.sched.down.load()) flags |= VGCF_online;
    if (v.failsafe.mask_events) flags |= VGCF_failsafe_disables_events;
    if (v.syscall.mask_events) flags |= VGCF_syscall_disables_events;
    return flags;
}

void get_tables(const ArchVcpu& v, vcpu_guest_context& c) {
    for (unsigned i = 0; i < v.gdt_frames.size(); ++i) c.gdt_frames[i] = v.gdt_frames[i];
    c.gdt_ents = v.gdt_entries;
    c.ldt_base = v.ldt_base;
    c.ldt_ents = v.ldt_entries;
    c.ctrlreg[0] = x86::cr0::pe | x86::cr0::pg | x86::cr0::wp | x86::cr0::ne | x86::cr0::et | x86::cr0::mp |
                   (v.virtual_ts ? x86::cr0::ts : 0);
    c.ctrlreg[1] = v.user_root;
    c.ctrlreg[3] = v.kernel_root;
    c.ctrlreg[4] = v.cr4;
}

// What the domain's policy lets it have; without XSAVE it still has the legacy state.
u64 states_of(const Vcpu& v) {
    constexpr u64 legacy = 3;
    return allowed_states(v.domain) | legacy;
}

// The state components in an XSAVE area, and those that may be there.
bool is_loadable(const u8* area, u64 accumulated) {
    u64 present = 0;
    u64 rest[7];
    std::memcpy(&present, area + legacy_bytes, sizeof present);
    std::memcpy(rest, area + legacy_bytes + sizeof present, sizeof rest);
    for (u64 word : rest)
        if (word != 0) return false;  // compacted, or from the future: loading it would fault
    return (present & ~accumulated) == 0;
}

}  // namespace
}  // namespace xylem::pv

namespace xylem::port {

using namespace pv;

Result<> set_vcpu_context(Vcpu& v, const vcpu_guest_context& c) {
    return pv::set_vcpu_context(v, c);
}

void get_vcpu_context(Vcpu& vcpu, vcpu_guest_context& c) {
    const ArchVcpu& v = *vcpu.arch;
    std::memcpy(&c.fpu_ctxt, v.fpu_area, legacy_bytes);
    c.flags = flags_of(vcpu, v);
    get_registers(v, vcpu.sched.blocked.load(), c.user_regs);
    for (unsigned i = 0; i < 256; ++i) {
        const Trap& t = v.traps[i];
        c.trap_ctxt[i] = {.vector = static_cast<u8>(i), .flags = t.flags, .cs = t.selector, .address = t.address};
    }
    get_tables(v, c);
    c.kernel_ss = v.kernel_ss;
    c.kernel_sp = v.kernel_sp;
    for (unsigned i = 0; i < 4; ++i) c.debugreg[i] = v.dr[i];
    c.debugreg[6] = v.dr6;
    c.debugreg[7] = v.dr7;
    c.event_callback_eip = v.event.address;
    c.failsafe_callback_eip = v.failsafe.address;
    c.syscall_callback_eip = v.syscall.address;
    c.vm_assist = vcpu.domain.arch->vm_assist;
    c.fs_base = v.fs_base;
    c.gs_base_kernel = v.gs_base_kernel;
    c.gs_base_user = v.gs_base_user;
}

Result<> set_vcpu_callbacks(Vcpu& v, const xen_domctl_ext_vcpucontext& c) {
    if (!layout::is_canonical(c.syscall32_callback_eip) || !layout::is_canonical(c.sysenter_callback_eip))
        return fail(XEN_EINVAL);
    v.arch->syscall32 = {c.syscall32_callback_eip, c.syscall32_disables_events != 0};
    v.arch->sysenter = {c.sysenter_callback_eip, c.sysenter_disables_events != 0};
    return {};
}

void get_vcpu_callbacks(Vcpu& v, xen_domctl_ext_vcpucontext& c) {
    c.size = sizeof c;
    c.syscall32_callback_eip = v.arch->syscall32.address;
    c.syscall32_callback_cs = GUEST_CS64;
    c.syscall32_disables_events = v.arch->syscall32.mask_events;
    c.sysenter_callback_eip = v.arch->sysenter.address;  // kept; PV guests are not told of SYSENTER
    c.sysenter_callback_cs = v.arch->sysenter.address != 0 ? GUEST_CS64 : 0;
    c.sysenter_disables_events = v.arch->sysenter.mask_events;
    c.vmce = {};
}

u64 extended_state_bytes(Vcpu&) {
    return features().has_xsave ? header_bytes + features().fpu_bytes : 0;
}
u64 extended_state_features() {
    return features().has_xsave ? features().xcr0 : 0;
}

void get_extended_state(Vcpu& v, u8* to) {
    const u64 words[2] = {v.arch->xcr0, states_of(v)};
    std::memcpy(to, words, sizeof words);
    std::memcpy(to + header_bytes, v.arch->fpu_area, features().fpu_bytes);
}

Result<> set_extended_state(Vcpu& v, const u8* from, u64 bytes) {
    if (bytes < header_bytes || bytes > extended_state_bytes(v)) return fail(XEN_EINVAL);
    u64 words[2];
    std::memcpy(words, from, sizeof words);
    const u64 xcr0 = words[0];
    const u64 accumulated = words[1];
    const bool has_avx_without_sse = (xcr0 & 6) == 4;
    if ((xcr0 & 1) == 0 || (xcr0 & ~accumulated) != 0 || (accumulated & ~states_of(v)) != 0 || has_avx_without_sse)
        return fail(XEN_EINVAL);
    if (bytes == header_bytes) return {};  // a guest that never used more than its legacy context holds
    if (bytes < header_bytes + legacy_bytes + xsave_header_bytes || !is_loadable(from + header_bytes, accumulated))
        return fail(XEN_EINVAL);
    v.arch->xcr0 = xcr0;
    std::memcpy(v.arch->fpu_area, from + header_bytes, bytes - header_bytes);
    clean_mxcsr(v.arch->fpu_area);
    return {};
}

void release_vcpu_memory(Vcpu& v) {
    release_resources(*v.arch);
}

void publish_wall_clock(Domain& d) {
    xylem::publish_wall_clock(d);
}

// 32 bytes for each number. iret leaves no way back, and takes rax on the stack [xen/arch-x86_64.h].
void write_hypercall_page(void* page) {
    constexpr u8 call[] = {0x51, 0x41, 0x53, 0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3};
    constexpr u8 last[] = {0x51, 0x41, 0x53, 0x50, 0xb8, __HYPERVISOR_iret, 0, 0, 0, 0x0f, 0x05};
    auto* entries = static_cast<u8*>(page);
    std::memset(page, 0xcc, page_size);
    for (unsigned i = 0; i < page_size / 32; ++i) {
        u8* entry = entries + 32 * i;
        std::memcpy(entry, call, sizeof call);
        entry[4] = static_cast<u8>(i);
    }
    std::memset(entries + 32 * __HYPERVISOR_iret, 0xcc, 32);
    std::memcpy(entries + 32 * __HYPERVISOR_iret, last, sizeof last);
}

}  // namespace xylem::port
