// SPDX-License-Identifier: MIT
#include "arch/x86/domain/features.hpp"

#include <algorithm>
#include <string_view>

#include "arch/x86/smp/smap_test.hpp"
#include "base/log.hpp"
#include "cpu/instructions.hpp"
#include "hw/x86/registers.hpp"

namespace xylem {
namespace {

constinit Features found;

bool bit(u32 reg, unsigned n) {
    return ((reg >> n) & 1) != 0;
}

}  // namespace

const Features& features() {
    return found;
}

void detect_features(bool use_smep, bool use_smap, bool use_fsgsbase, bool use_xsave) {
    Features& f = found;
    const auto l0 = cpu::cpuid(0);
    f.intel = l0.b == 0x756e6547;
    f.amd = l0.b == 0x68747541 || l0.b == 0x6f677948;  // AuthenticAMD, HygonGenuine
    const auto l1 = cpu::cpuid(1);
    const auto l7 = l0.a >= 7 ? cpu::cpuid(7, 0) : cpu::CpuidRegs{};
    const u32 max_extended = cpu::cpuid(0x80000000).a;
    const auto e1 = cpu::cpuid(0x80000001);
    if (max_extended >= 0x80000007) f.has_invariant_tsc = bit(cpu::cpuid(0x80000007).d, 8);
    if (max_extended >= 0x80000008) f.physical_bits = std::min(cpu::cpuid(0x80000008).a & 0xff, 52U);
    f.has_xsave = use_xsave && bit(l1.c, 26);
    f.has_x2apic = bit(l1.c, 21);
    f.has_smep = use_smep && bit(l7.b, 7);
    f.has_smap = use_smap && bit(l7.b, 20);
    if (f.has_smap && !smap_lets_guests_iret()) {
        f.has_smap = false;
        log::warning("SMAP is not used: this CPU (an emulator's) lets a guest's iretq fault while it is on");
    }
    f.has_fsgsbase = use_fsgsbase && bit(l7.b, 0);
    f.has_umip = bit(l7.c, 2);
    f.has_rdtscp = bit(e1.d, 27);
    f.has_rdpid = bit(l7.c, 22);
    f.has_svm = bit(e1.c, 2);
    f.has_sysenter_in_long_mode = f.intel;

    using namespace x86;
    f.host_cr4 = cr4::pae | cr4::pge | cr4::osfxsr | cr4::osxmmexcpt | cr4::mce;
    if (f.has_xsave) f.host_cr4 |= cr4::osxsave;
    if (f.has_smep) f.host_cr4 |= cr4::smep;
    if (f.has_smap) f.host_cr4 |= cr4::smap;
    if (f.has_fsgsbase) f.host_cr4 |= cr4::fsgsbase;
    f.guest_cr4_bits = cr4::tsd | cr4::de;
    if (f.has_xsave) {
        f.guest_cr4_bits |= cr4::osxsave;
        const auto d = cpu::cpuid(0xd, 0);
        // x87, SSE, AVX, AVX-512; protection keys and the like are not for PV guests.
        f.xcr0 = (u64{d.d} << 32 | d.a) & 0xe7;
        if ((f.xcr0 & 0xe0) != 0xe0) f.xcr0 &= 0x7;
        f.has_xsaveopt = bit(cpu::cpuid(0xd, 1).a, 0);
        f.fpu_bytes = d.c;
    }
    if (f.has_fsgsbase) f.guest_cr4_bits |= cr4::fsgsbase;
    const std::string_view vendor = f.intel ? "Intel" : f.amd ? "AMD" : "other";
    log::info("CPU: {}, {} physical address bits, in use:{}{}{}{}{}", vendor, f.physical_bits, f.has_smep ? " SMEP" : "",
              f.has_smap ? " SMAP" : "", f.has_fsgsbase ? " FSGSBASE" : "", f.has_xsave ? " XSAVE" : "",
              f.has_invariant_tsc ? " invariant-TSC" : "");
}

}  // namespace xylem
