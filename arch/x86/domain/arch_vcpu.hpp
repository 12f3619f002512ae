// SPDX-License-Identifier: MIT
// The x86 half of a vCPU. It is the last thing on the vCPU's own hypervisor stack, so that `current` is the stack pointer
// rounded up, and entry code reaches it without a register.
#pragma once

#include <array>

#include "arch/x86/entry/offsets.h"
#include "core/domain/vcpu.hpp"
#include "cpu/frame.hpp"

namespace xylem {

struct PerCpu;

struct Trap {
    u64 address = 0;  // 0 = none
    u16 selector = 0;
    u8 flags = 0;  // bits 0-1: the least privileged mode that may raise it by `int n`; bit 2: enter with events masked
};

// A registered entry point of the guest kernel [xen/callback.h].
struct Callback {
    u64 address = 0;
    bool mask_events = false;
};

struct alignas(16) ArchVcpu {
    u64 padding = 0;
    Frame guest{};          // the guest's registers while in the hypervisor
    PerCpu* cpu = nullptr;  // where it runs (or ran last)
    Vcpu* vcpu = nullptr;
    u8 kernel_mode = 1;  // guest kernel (hypercalls) or guest user (system calls)
    bool nmi_in_progress = false;
    u8 virtual_iopl = 0;
    u8 virtual_iopl_shown = 0;  // what pushed flags show: 0 unless the architectural_iopl assist is on
    bool virtual_ts = false;
    bool nmi_held = false;  // came while another was in progress; delivered after its iret

    // --- what entry code reads (offsets.h) -------------------------------------------------------------------------------------
    u64 kernel_sp = 0;
    u64 kernel_root = 0;  // machine address of the L4 for kernel mode; holds a reference and a type use
    u64 user_root = 0;    // same for user mode; 0 = none
    u64 loaded_root = 0;  // what CR3 holds while this vCPU runs
    Callback syscall;

    // --- other entry points
    Callback event, failsafe, syscall32;
    u64 kernel_ss = 0;
    Trap* traps = nullptr;  // 256 of them

    // --- segments, valid while the vCPU is not running
    u64 fs_base = 0, gs_base_kernel = 0, gs_base_user = 0;
    u16 ds = 0, es = 0, fs = 0, gs = 0;
    std::array<u64, 14> gdt_frames{};  // mfns, 0 = none
    u32 gdt_entries = 0;
    u32 ldt_entries = 0;
    u64 ldt_base = 0;

    // --- control and debug registers
    u64 cr2 = 0;
    u64 cr4 = 0;  // the bits the guest owns
    u64 xcr0 = 1;
    u64 dr[4] = {};
    u32 tsc_aux = 0;
    u64 dr6 = 0xffff0ff0, dr7 = 0x400;
    u8* fpu_area = nullptr;

    // --- the hypervisor's own context while switched away
    u64 saved_rsp = 0;
    u64 iobitmap_va = 0;
    u32 iobitmap_ports = 0;

    struct Selectors {
        u16 ds, es, fs, gs;
    } lost{};           // what was in the selectors when one could not be loaded any more (work::failsafe)
    Callback sysenter;  // kept for the guest; nothing enters there
};
static_assert(sizeof(ArchVcpu) <= ARCH_VCPU_BYTES);

inline ArchVcpu& arch_of(Vcpu& v) {
    return *v.arch;
}

}  // namespace xylem
