// SPDX-License-Identifier: MIT
// A guest's TSC: the hardware's.
#include "arch/x86/domain/arch_domain.hpp"
#include "core/port/cpu_info.hpp"
#include "core/port/machine.hpp"

namespace xylem::port {
namespace {

constexpr u32 mode_native = 2;

}  // namespace

void describe_tsc(Domain& d, xen_domctl_tsc_info& to) {
    to = {};
    to.tsc_mode = d.arch->tsc_mode;
    to.incarnation = d.arch->tsc_incarnation;
    if (d.arch->tsc_mode == mode_native) return;
    to.gtsc_khz = cpu_khz();
    to.elapsed_nsec = static_cast<u64>(now());
}

Result<> set_tsc(Domain& d, const xen_domctl_tsc_info& from) {
    if (from.tsc_mode > mode_native) return fail(XEN_EINVAL);
    d.arch->tsc_mode = from.tsc_mode;
    d.arch->tsc_incarnation = from.incarnation + 1;
    return {};
}

Result<> set_saved_msr(Vcpu&, u32 index, u64 value) {
    constexpr u32 misc_features_enables = 0x140;  // reads as 0
    return index == misc_features_enables && value == 0 ? Result<>{} : fail(XEN_EINVAL);
}

}  // namespace xylem::port
