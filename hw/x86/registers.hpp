// SPDX-License-Identifier: MIT
// Bits and numbers of the x86 manuals. [AMD64 APM vol. 2, Intel SDM vol. 3 and 4]
#pragma once

#include "base/types.hpp"

namespace xylem::x86 {

namespace cr0 {
inline constexpr u64 pe = 1, mp = 2, em = 4, ts = 8, et = 0x10, ne = 0x20, wp = 0x10000, am = 0x40000, nw = 0x20000000,
                     cd = 0x40000000, pg = 0x80000000;
}
namespace cr4 {
inline constexpr u64 vme = 1, pvi = 2, tsd = 4, de = 8, pse = 0x10, pae = 0x20, mce = 0x40, pge = 0x80, pce = 0x100,
                     osfxsr = 0x200, osxmmexcpt = 0x400, umip = 0x800, la57 = 0x1000, vmxe = 0x2000, fsgsbase = 0x10000,
                     pcide = 0x20000, osxsave = 0x40000, smep = 0x100000, smap = 0x200000, pke = 0x400000;
}
namespace rflags {
inline constexpr u64 cf = 1, always_one = 2, pf = 4, af = 0x10, zf = 0x40, sf = 0x80, tf = 0x100, interrupts = 0x200, df = 0x400,
                     of = 0x800, iopl = 0x3000, nt = 0x4000, rf = 0x10000, vm = 0x20000, ac = 0x40000, vif = 0x80000,
                     vip = 0x100000, id = 0x200000;
}
namespace msr {
inline constexpr u32 tsc = 0x10, apic_base = 0x1b, feature_control = 0x3a, spec_ctrl = 0x48, pred_cmd = 0x49,
                     microcode_rev = 0x8b, platform_info = 0xce, arch_capabilities = 0x10a, sysenter_cs = 0x174,
                     sysenter_esp = 0x175, sysenter_eip = 0x176, mcg_cap = 0x179, mcg_status = 0x17a, mcg_ctl = 0x17b,
                     misc_enable = 0x1a0, debugctl = 0x1d9, pat = 0x277, mtrr_def_type = 0x2ff, efer = 0xc0000080,
                     star = 0xc0000081, lstar = 0xc0000082, cstar = 0xc0000083, fmask = 0xc0000084, fs_base = 0xc0000100,
                     gs_base = 0xc0000101, kernel_gs_base = 0xc0000102, tsc_aux = 0xc0000103;
}
namespace efer {
inline constexpr u64 sce = 1, lme = 0x100, lma = 0x400, nxe = 0x800, svme = 0x1000;
}
namespace vector {
inline constexpr u32 divide_error = 0, debug = 1, nmi = 2, breakpoint = 3, overflow = 4, bounds = 5, invalid_opcode = 6,
                     no_device = 7, double_fault = 8, invalid_tss = 10, segment_not_present = 11, stack_fault = 12,
                     general_protection = 13, page_fault = 14, x87 = 16, alignment = 17, machine_check = 18, simd = 19;
}
namespace fault {
inline constexpr u32 present = 1, write = 2, user = 4, reserved = 8, fetch = 16;
}

// PAT as the ABI fixes it [ABI.md 2.4]: WB, WT, UC-, UC, WC, WP, UC, UC.
inline constexpr u64 pat_value = 0x0000'0501'0007'0406;

}  // namespace xylem::x86
