// SPDX-License-Identifier: MIT
// A guest's TSC and the register beside it, chosen and saved by tools.
#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/pv/msr.hpp"
#include "core/port/cpu_info.hpp"
#include "core/port/sched.hpp"
#include "hw/x86/registers.hpp"

namespace xylem::port {
namespace {

// Guests live by pvclock, which needs no TSC of one rate: only who asks for emulation gets it.
constexpr u32 mode_default = 0, mode_emulate = 1, mode_native = 2;

}  // namespace

void describe_tsc(Domain& d, xen_domctl_tsc_info& to) {
    const GuestTsc& tsc = d.arch->tsc;
    to = {};
    to.tsc_mode = tsc.mode;
    to.incarnation = tsc.incarnation;
    if (tsc.mode == mode_native) return;
    to.gtsc_khz = tsc.emulated ? tsc.khz : cpu_khz();
    to.elapsed_nsec = static_cast<u64>(now()) - (tsc.emulated ? static_cast<u64>(tsc.zero) : 0);
}

Result<> set_tsc(Domain& d, const xen_domctl_tsc_info& from) {
    if (from.tsc_mode != mode_default && from.tsc_mode != mode_emulate && from.tsc_mode != mode_native) return fail(XEN_EINVAL);
    GuestTsc tsc;
    tsc.mode = from.tsc_mode;
    tsc.incarnation = from.incarnation + 1;
    tsc.emulated = from.tsc_mode == mode_emulate;
    if (tsc.emulated) {
        tsc.khz = from.gtsc_khz != 0 ? from.gtsc_khz : cpu_khz();
        tsc.zero = static_cast<Nanos>(static_cast<u64>(now()) - from.elapsed_nsec);
        tsc.from_nanos = time::inverse_scale_of(u64{tsc.khz} * 1000);
        tsc.to_nanos = time::scale_of(u64{tsc.khz} * 1000);
    }
    d.arch->tsc = tsc;
    return {};
}

u32 saved_msr_list(Vcpu& v, std::array<SavedMsr, saved_msrs>& to) {
    const ArchVcpu& arch = *v.arch;
    if (arch.tsc_aux == 0) return 0;
    to[0] = {x86::msr::tsc_aux, arch.tsc_aux};
    return 1;
}

Result<> set_saved_msr(Vcpu& v, u32 index, u64 value) {
    constexpr u32 misc_features_enables = 0x140;  // Intel's; saved by others, and 0 here
    if (index == misc_features_enables && value == 0) return {};
    if (index != x86::msr::tsc_aux || value > ~u32{0} || !pv::has_tsc_aux(v.domain)) return fail(XEN_EINVAL);
    v.arch->tsc_aux = static_cast<u32>(value);
    return {};
}

}  // namespace xylem::port
