// SPDX-License-Identifier: MIT
// The CPU as a PV guest sees it: the hardware's answer less what a guest at ring 3 cannot use, plus our own leaves.
#include "arch/x86/pv/cpuid.hpp"

#include "arch/x86/domain/features.hpp"
#include "arch/x86/time/guest_time.hpp"
#include "core/domain/domain.hpp"
#include "core/domain/version.hpp"
#include "hw/x86/registers.hpp"

namespace xylem::pv {
namespace {

constexpr u32 bit(unsigned n) {
    return 1U << n;
}

// Leaf 1: MONITOR, VMX, SMX, speed step, thermal monitor 2, PDCM, PCID, DCA, x2APIC, TSC deadline are not for PV guests.
constexpr u32 hidden_1c = bit(2) | bit(3) | bit(5) | bit(6) | bit(7) | bit(8) | bit(15) | bit(17) | bit(18) | bit(21) | bit(24);
// VME, PSE, SEP (32-bit programs use int 0x80), MTRR (dom0's kernel only), PGE, PSE36, PSN, DS, ACPI, self snoop, HT, TM, PBE.
constexpr u32 hidden_1d =
    bit(1) | bit(3) | bit(11) | bit(13) | bit(17) | bit(18) | bit(21) | bit(22) | bit(27) | bit(28) | bit(29) | bit(31);
// Leaf 7: what is left: FSGSBASE BMI1 AVX2 BMI2 ERMS AVX512F/DQ RDSEED ADX IFMA CLFLUSHOPT CLWB CD SHA BW VL.
constexpr u32 shown_7b = bit(0) | bit(3) | bit(5) | bit(8) | bit(9) | bit(16) | bit(17) | bit(18) | bit(19) | bit(21) | bit(23) |
                         bit(24) | bit(28) | bit(29) | bit(30) | bit(31);
// VBMI, VBMI2, GFNI, VAES, VPCLMULQDQ, VNNI, BITALG, VPOPCNTDQ, RDPID.
constexpr u32 shown_7c = bit(1) | bit(6) | bit(8) | bit(9) | bit(10) | bit(11) | bit(12) | bit(14) | bit(22);
constexpr u32 avx512_7b = bit(16) | bit(17) | bit(21) | bit(28) | bit(30) | bit(31);
// 0x80000001: LAHF, ABM, SSE4A, misaligned SSE, 3DNow prefetch, XOP, FMA4, TBM; SYSCALL, NX, MMXEXT, RDTSCP, LM, 3DNow.
constexpr u32 shown_e1c = bit(0) | bit(5) | bit(6) | bit(7) | bit(8) | bit(11) | bit(16) | bit(21);
constexpr u32 extra_e1d = bit(11) | bit(20) | bit(22) | bit(27) | bit(29) | bit(30) | bit(31);
constexpr u32 amd_copies_of_1d = 0x0183f3ff;

cpu::CpuidRegs xen_leaf(const ArchVcpu& v, u32 index, u32 subleaf) {
    switch (index) {
        case 0: return {0x40000005, 0x566e6558, 0x65584d4d, 0x4d4d566e};  // "XenVMMXenVMM"
        case 1: return {interface_version, 0, 0, 0};
        case 2: return {1, 0x40000000, 1, 0};  // one hypercall page; MMU_PT_UPDATE_PRESERVE_AD works
        case 3: return guest_time_leaf(subleaf);
        case 5: return {0, features().physical_bits, 0, 0};
        default: (void)v; return {};
    }
}

cpu::CpuidRegs xsave_leaf(const ArchVcpu& v, u32 subleaf, cpu::CpuidRegs r) {
    const u64 all = features().xcr0;
    if (!features().has_xsave) return {};
    if (subleaf == 0) {
        r.a = static_cast<u32>(all);
        r.d = static_cast<u32>(all >> 32);
        r.c = features().fpu_bytes;
        (void)v;  // ebx follows the CPU's XCR0, which is the guest's
        return r;
    }
    if (subleaf == 1) return {r.a & 0x7, 0, 0, 0};  // XSAVEOPT, XSAVEC, XGETBV(1); no supervisor states
    if (subleaf < 63 && ((all >> subleaf) & 1) != 0) return r;
    return {};
}

}  // namespace

cpu::CpuidRegs guest_cpuid(const ArchVcpu& v, u32 leaf, u32 subleaf, bool forced) {
    if (leaf >= 0x40000000 && leaf < 0x40000100)
        return leaf <= 0x40000005 ? xen_leaf(v, leaf - 0x40000000, subleaf) : cpu::CpuidRegs{};
    const Features& host = features();
    cpu::CpuidRegs r = cpu::cpuid(leaf, subleaf);
    switch (leaf) {
        case 0: r.a = r.a > 0xd ? 0xd : r.a; return r;
        case 1: {
            r.b = (r.b & 0xffff) | (v.vcpu->id.raw << 25);  // initial APIC id: twice the vCPU number
            r.c = (r.c & ~hidden_1c) | bit(31);
            r.d &= ~hidden_1d;
            if (!host.has_xsave) r.c &= ~(bit(26) | bit(27) | bit(28) | bit(12) | bit(29));
            const bool osxsave = forced ? host.has_xsave : (v.cr4 & x86::cr4::osxsave) != 0;
            r.c = osxsave ? r.c | bit(27) : r.c & ~bit(27);
            return r;
        }
        case 2:
        case 4: return r;
        case 7:
            if (subleaf != 0) return {};
            r.a = 0;
            r.b &= shown_7b;
            r.c &= shown_7c;
            r.d = 0;
            if (!host.has_fsgsbase) r.b &= ~bit(0);
            if (!host.has_xsave) r.b &= ~(bit(5) | avx512_7b);
            if ((host.xcr0 & 0xe0) == 0) {
                r.b &= ~avx512_7b;
                r.c &= ~(bit(1) | bit(6) | bit(11) | bit(12) | bit(14));
            }
            return r;
        case 0xd: return xsave_leaf(v, subleaf, r);
        case 0x80000000: r.a = r.a > 0x80000008 ? 0x80000008 : r.a; return r;
        case 0x80000001: {
            const u32 shared = host.amd ? amd_copies_of_1d & ~hidden_1d : 0;
            r.c &= shown_e1c;
            r.d &= extra_e1d | shared;
            return r;
        }
        case 0x80000007: return {0, 0, 0, r.d & bit(8)};
        case 0x80000008: return {r.a, r.b & bit(0), 0, 0};
        default: break;
    }
    if ((leaf >= 0x80000002 && leaf <= 0x80000006)) return r;
    return {};
}

}  // namespace xylem::pv
