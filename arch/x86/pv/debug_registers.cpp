// SPDX-License-Identifier: MIT
#include "arch/x86/pv/debug_registers.hpp"

#include "cpu/instructions.hpp"
#include "hw/x86/registers.hpp"

namespace xylem::pv {
namespace {

constexpr u64 general_detect = 0x2000;
constexpr u64 any_breakpoint = 0xff;

// The register that a number means, with the aliases resolved.
Result<u64> resolve(const ArchVcpu& v, u64 number) {
    if (number > 7) return fail(XEN_ENODEV);
    if (number != 4 && number != 5) return number;
    if ((v.cr4 & x86::cr4::de) != 0) return fail(XEN_ENODEV);
    return number + 2;
}

// Breakpoints on ports: type 2, of those that are on.
constexpr bool watches_ports(u64 dr7) {
    for (unsigned i = 0; i < 4; ++i)
        if ((dr7 >> 2 * i & 3) != 0 && (dr7 >> (16 + 4 * i) & 3) == 2) return true;
    return false;
}

void write_breakpoint(u64 number, u64 value) {
    switch (number) {
        case 0: return cpu::write_dr<0>(value);
        case 1: return cpu::write_dr<1>(value);
        case 2: return cpu::write_dr<2>(value);
        default: return cpu::write_dr<3>(value);
    }
}

}  // namespace

// Addresses of breakpoints that are off may stay another guest's.
void load_debug_registers(const ArchVcpu& v) {
    if ((v.dr7 & any_breakpoint) != 0)
        for (u64 i = 0; i < 4; ++i) write_breakpoint(i, v.dr[i]);
    cpu::write_dr<7>(v.dr7);
}

Result<> set_debug_register(ArchVcpu& v, u64 number, u64 value) {
    number = TRY(resolve(v, number));
    if (number < 4) {
        if (!is_guest_breakpoint(value)) return fail(XEN_EPERM);
        v.dr[number] = value;
        if ((v.dr7 & any_breakpoint) != 0) write_breakpoint(number, value);
        return {};
    }
    if (value > ~u32{0}) return fail(XEN_EINVAL);
    if (number == 6) {
        v.dr6 = sanitised_dr6(value);
        return {};
    }
    if ((value & general_detect) != 0 || watches_ports(value)) return fail(XEN_EPERM);
    v.dr7 = sanitised_dr7(value);
    load_debug_registers(v);
    return {};
}

Result<u64> get_debug_register(const ArchVcpu& v, u64 number) {
    number = TRY(resolve(v, number));
    return number < 4 ? v.dr[number] : number == 6 ? v.dr6 : v.dr7;
}

}  // namespace xylem::pv
