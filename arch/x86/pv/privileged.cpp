// SPDX-License-Identifier: MIT
#include "arch/x86/pv/privileged.hpp"

#include <algorithm>

#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/features.hpp"
#include "arch/x86/emul/privileged.hpp"
#include "arch/x86/pv/cpuid.hpp"
#include "arch/x86/pv/debug_registers.hpp"
#include "arch/x86/pv/domain_policy.hpp"
#include "arch/x86/pv/guest_entry.hpp"
#include "arch/x86/pv/io_ports.hpp"
#include "arch/x86/pv/msr.hpp"
#include "arch/x86/pv/pte.hpp"
#include "arch/x86/pv/roots.hpp"
#include "arch/x86/pv/traps.hpp"
#include "core/domain/domain.hpp"
#include "core/port/guest.hpp"
#include "core/port/io_rights.hpp"
#include "core/port/sched.hpp"
#include "cpu/guest_access.hpp"
#include "cpu/guest_words.hpp"
#include "cpu/instructions.hpp"
#include "hw/x86/registers.hpp"

namespace xylem::pv {
namespace {

using emul::PrivilegedKind;
using emul::PrivilegedOp;

void do_cpuid(ArchVcpu& v, bool forced) {
    Frame& f = v.guest;
    const auto r = guest_cpuid(v, static_cast<u32>(f.rax), static_cast<u32>(f.rcx), forced);
    f.rax = r.a;
    f.rbx = r.b;
    f.rcx = r.c;
    f.rdx = r.d;
}

bool do_rdmsr(ArchVcpu& v) {
    const Result<u64> value = read_msr(v, static_cast<u32>(v.guest.rcx));
    if (!value) return false;
    v.guest.rax = static_cast<u32>(*value);
    v.guest.rdx = *value >> 32;
    return true;
}

// False where the guest's own CR4.TSD keeps its programs from it.
bool do_rdtsc(ArchVcpu& v) {
    if ((v.cr4 & x86::cr4::tsd) != 0 && v.kernel_mode == 0) return false;
    const u64 now = read_tsc(v);
    v.guest.rax = static_cast<u32>(now);
    v.guest.rdx = now >> 32;
    return true;
}

// What the guest sees in CR4: what it owns, and what the hypervisor has on that is no secret.
u64 shown_cr4(const ArchVcpu& v) {
    return v.cr4 | x86::cr4::pae | x86::cr4::mce | x86::cr4::osfxsr | x86::cr4::osxmmexcpt;
}

void write_guest_cr4(ArchVcpu& v, u64 value) {
    v.cr4 = value & allowed_cr4(v.vcpu->domain);
    cpu::write_cr4(host_cr4_for(v));
}

bool read_control(ArchVcpu& v, const PrivilegedOp& op) {
    u64& to = v.guest.gpr(op.reg);
    switch (op.system_register) {
        case 0: to = (cpu::read_cr0() & ~x86::cr0::ts) | (v.virtual_ts ? x86::cr0::ts : 0); return true;
        case 2: to = v.cr2; return true;
        case 3: to = v.kernel_root; return true;
        case 4: to = shown_cr4(v); return true;
        default: return false;
    }
}

bool write_control(ArchVcpu& v, const PrivilegedOp& op) {
    const u64 value = v.guest.gpr(op.reg);
    switch (op.system_register) {
        case 0:
            if (((value ^ cpu::read_cr0()) & ~x86::cr0::ts) != 0) return false;
            set_task_switched(v, (value & x86::cr0::ts) != 0);
            return true;
        case 2: v.cr2 = v.vcpu->info->arch.cr2 = value; return true;
        case 3: return set_kernel_root(v, mfn_of(Maddr(value & bits::frame))).has_value();
        case 4: write_guest_cr4(v, value); return true;
        default: return false;
    }
}

bool read_debug(ArchVcpu& v, const PrivilegedOp& op) {
    const Result<u64> value = get_debug_register(v, op.system_register);
    if (value) v.guest.gpr(op.reg) = *value;
    return value.has_value();
}

bool do_xsetbv(ArchVcpu& v) {
    const u64 value = (v.guest.rdx << 32) | static_cast<u32>(v.guest.rax);
    if (static_cast<u32>(v.guest.rcx) != 0 || (value & 1) == 0 || (value & ~allowed_states(v.vcpu->domain)) != 0) return false;
    if (!cpu::try_xsetbv(0, value)) return false;
    v.xcr0 = value;
    return true;
}

// ins/outs: one element at a time through the guest's memory, some per visit; rep continues by leaving rip where it is.
bool string_io(ArchVcpu& v, const PrivilegedOp& op) {
    constexpr u64 per_visit = 512;
    const u64 count = std::min(op.count, per_visit);
    u64 at = op.linear;
    u64 done = 0;
    for (; done < count; ++done, at += op.step) {
        u32 value = 0;
        const bool in = op.kind == PrivilegedKind::string_in;
        if (in) value = read_port(v, op.port, op.size);
        const bool ok = in ? port::copy_to_guest(at, &value, op.size) : port::copy_from_guest(&value, at, op.size);
        if (!ok) {
            emul::retire_string(op, done, v.guest);
            inject_page_fault(v, at, in ? x86::fault::write : 0);
            return true;
        }
        if (!in) write_port(v, op.port, op.size, value);
    }
    emul::retire_string(op, done, v.guest);
    return true;
}

bool is_allowed(ArchVcpu& v, const PrivilegedOp& op) {
    switch (emul::right_of(op.kind)) {
        case emul::Right::anyone: return true;
        case emul::Right::guest_kernel: return v.kernel_mode != 0;
        case emul::Right::port_access: return may_use_ports(v, op.port, op.size);
        case emul::Right::virtual_iopl: return v.virtual_iopl >= (v.kernel_mode != 0 ? 1 : 3);
        case emul::Right::gate: return false;
    }
    return false;
}

// False: #GP for the guest.
bool execute(ArchVcpu& v, const PrivilegedOp& op) {
    Frame& f = v.guest;
    switch (op.kind) {
        case PrivilegedKind::cpuid_forced:
        case PrivilegedKind::cpuid: do_cpuid(v, op.kind == PrivilegedKind::cpuid_forced); return true;
        case PrivilegedKind::rdmsr: return do_rdmsr(v);
        case PrivilegedKind::wrmsr:
            return write_msr(v, static_cast<u32>(f.rcx), (f.rdx << 32) | static_cast<u32>(f.rax)).has_value();
        case PrivilegedKind::read_control: return read_control(v, op);
        case PrivilegedKind::write_control: return write_control(v, op);
        case PrivilegedKind::read_debug: return read_debug(v, op);
        case PrivilegedKind::write_debug: return set_debug_register(v, op.system_register, v.guest.gpr(op.reg)).has_value();
        case PrivilegedKind::clts: set_task_switched(v, false); return true;
        case PrivilegedKind::xsetbv: return do_xsetbv(v);
        case PrivilegedKind::cli:
        case PrivilegedKind::sti: return true;  // the guest's interrupt flag is its event mask [ABI.md 0.2]
        case PrivilegedKind::port_in: emul::write_register(f, 0, op.size, read_port(v, op.port, op.size)); return true;
        case PrivilegedKind::port_out:
            write_port(v, op.port, op.size, static_cast<u32>(emul::read_register(f, 0, op.size)));
            return true;
        case PrivilegedKind::cache_flush:
            if (port::may_choose_caching(v.vcpu->domain)) cpu::wbinvd();
            return true;
        case PrivilegedKind::rdtsc: return do_rdtsc(v);
        case PrivilegedKind::rdtscp:
            if (!features().has_rdtscp || !do_rdtsc(v)) return false;
            f.rcx = v.tsc_aux;
            return true;
        default: return false;
    }
}

bool emulate(ArchVcpu& v, const PrivilegedOp& op) {
    if (!is_allowed(v, op)) return false;
    if (op.kind == PrivilegedKind::string_in || op.kind == PrivilegedKind::string_out) return string_io(v, op);
    const bool single_step = (v.guest.rflags & x86::rflags::tf) != 0;
    if (!execute(v, op)) return false;
    emul::advance(v.guest, op.length);
    if (single_step) {
        v.dr6 |= 0x4000;
        inject(v, x86::vector::debug);
    }
    return true;
}

bool decode_and_emulate(ArchVcpu& v, bool only_forced) {
    Frame& f = v.guest;
    // The commonest of all: rdmsr of the user's GS base, from every context switch of Linux, and rdtsc where it is emulated.
    if (u64 code[1]; !only_forced && cpu::read_guest_words(code, f.rip) && (f.rflags & x86::rflags::tf) == 0) {
        const u64 opcode = code[0] & 0xffff;
        const bool rdmsr = opcode == 0x320f && v.kernel_mode != 0;
        if (rdmsr || opcode == 0x310f) {
            if (rdmsr ? !do_rdmsr(v) : !do_rdtsc(v)) return false;
            f.rip += 2;
            return true;
        }
    }
    emul::FetchWindow window{};
    window.valid = static_cast<u8>(fetch(v, window.bytes.data(), emul::max_instruction_length));
    emul::AddressContext context;
    context.fs_base = cpu::rdmsr(x86::msr::fs_base);
    context.gs_base = cpu::rdmsr(x86::msr::gs_base);
    if ((f.cs & 0xffff) == GUEST_CS32) context.mode = emul::CodeMode::bits32;
    const auto op = emul::decode_privileged(window, f, context);
    if (!op) {
        if (op.error() != emul::DecodeError::need_more || only_forced) return false;
        if (!layout::is_canonical(f.rip + window.valid)) return false;  // no page is missing there: the trap stands
        inject_page_fault(v, f.rip + window.valid, x86::fault::fetch);
        return true;
    }
    if (only_forced && op->kind != PrivilegedKind::cpuid_forced) return false;
    return emulate(v, *op);
}

}  // namespace

u64 read_tsc(const ArchVcpu& v) {
    const GuestTsc& tsc = v.vcpu->domain.arch->tsc;
    return tsc.emulated ? tsc.at(port::now()) : cpu::rdtsc();
}

u64 host_cr4_for(const ArchVcpu& v) {
    u64 cr4 = features().host_cr4 & ~(x86::cr4::tsd | x86::cr4::de);
    if (v.vcpu->domain.arch->tsc.emulated) cr4 |= x86::cr4::tsd;
    return cr4 | (v.cr4 & (x86::cr4::tsd | x86::cr4::de));
}

void set_task_switched(ArchVcpu& v, bool on) {
    v.virtual_ts = on;
    on ? cpu::write_cr0(cpu::read_cr0() | x86::cr0::ts) : cpu::clts();
}

bool emulate_privileged(ArchVcpu& v) {
    return decode_and_emulate(v, false);
}
bool emulate_invalid_opcode(ArchVcpu& v) {
    return decode_and_emulate(v, true);
}

}  // namespace xylem::pv
