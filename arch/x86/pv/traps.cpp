// SPDX-License-Identifier: MIT
// Exceptions raised by a PV guest: what the hypervisor handles itself, and what becomes the guest kernel's.
#include "arch/x86/pv/traps.hpp"

#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/pv/guest_entry.hpp"
#include "arch/x86/pv/privileged.hpp"
#include "arch/x86/pv/segments.hpp"
#include "arch/x86/pv/write_fault.hpp"
#include "core/domain/domain.hpp"
#include "core/port/machine.hpp"
#include "cpu/guest_words.hpp"
#include "cpu/instructions.hpp"
#include "hw/x86/registers.hpp"

namespace xylem::pv {
namespace {

using namespace x86;

// True where the address lies in the vCPU's descriptor windows: the CPU was loading a selector.
bool handle_window_fault(ArchVcpu& v, u64 address) {
    const u64 offset = address - gdt_window(v.vcpu->id);
    if (offset >= window_pages * page_size) return false;
    if (offset < 16 * page_size) {
        inject_with_error(v, vector::general_protection, static_cast<u32>(offset & 0xfff8));
        return true;
    }
    const u64 ldt_offset = offset - 16 * page_size;
    if (!fault_in_ldt(v, address)) inject_page_fault(v, v.ldt_base + ldt_offset, v.guest.error_code);
    return true;
}

void page_fault(ArchVcpu& v, u64 address) {
    const u32 error = v.guest.error_code;
    if (layout::in_hypervisor(address)) {
        // Not the guest's own reading and writing there: the CPU looks selectors up with the hypervisor's rights.
        if ((error & (fault::user | fault::reserved)) == 0 && handle_window_fault(v, address)) return;
    } else if ((error & (fault::present | fault::write | fault::fetch | fault::reserved)) == (fault::present | fault::write) &&
               v.kernel_mode != 0 && emulate_page_table_write(v, address)) {
        return;
    }
    inject_page_fault(v, address, error);
}

// `int n` through a gate the guest may not use directly.
bool software_interrupt(ArchVcpu& v, u32 n, unsigned length) {
    const Trap& t = v.traps[n & 0xff];
    const unsigned mode = v.kernel_mode != 0 ? 1 : 3;
    if (t.address == 0 || (t.flags & 3) < mode) return false;
    v.guest.rip += length;
    inject(v, n & 0xff);
    return true;
}

void general_protection(ArchVcpu& v) {
    const u32 error = v.guest.error_code;
    if ((error & 2) != 0 && (error & 1) == 0) {
        // The vector comes from the instruction: some emulators report a wrong one (RIG.md).
        u8 code[2]{};
        if (fetch(v, code, 2) == 2 && code[0] == 0xcd && software_interrupt(v, code[1], 2)) return;
        return inject_with_error(v, vector::general_protection, error);
    }
    if (error == 0 && emulate_privileged(v)) return;
    inject_with_error(v, vector::general_protection, error);
}

void debug_trap(ArchVcpu& v) {
    const u64 status = cpu::read_dr<6>();
    cpu::write_dr<6>(0xffff0ff0);
    v.dr6 |= status & 0xe00f;
    v.dr6 = (v.dr6 & ~u64{0xf}) | (status & 0xf);
    inject(v, vector::debug);
}

}  // namespace

u32 fetch(ArchVcpu& v, u8* to, u32 bytes) {
    const u64 rip = v.guest.rip;
    const u64 to_border = page_size - (rip & page_mask);
    // Mostly 16 bytes lie in one page: two words.
    if (u64 words[2]; to_border >= sizeof words && bytes <= sizeof words) {
        if (!cpu::read_guest_words(words, rip)) return 0;
        __builtin_memcpy(to, words, bytes);
        return bytes;
    }
    // As many as are readable across the border.
    if (port::copy_from_guest(to, rip, bytes)) return bytes;
    return to_border < bytes && port::copy_from_guest(to, rip, to_border) ? static_cast<u32>(to_border) : 0;
}

void deliver_iret_fault(ArchVcpu& v, u32 vec, u32 error, u64 fault_address) {
    v.guest.error_code = error;
    if (vec == vector::page_fault && layout::in_hypervisor(fault_address) && handle_window_fault(v, fault_address)) return;
    inject_with_error(v, vec, error);
}

void handle_exception(ArchVcpu& v, u32 vec, u64 fault_address) {
    switch (vec) {
        case vector::page_fault: return page_fault(v, fault_address);
        case vector::general_protection: return general_protection(v);
        case vector::invalid_opcode:
            if (emulate_invalid_opcode(v)) return;
            return inject(v, vec);
        case vector::no_device:
            cpu::clts();
            v.virtual_ts = false;
            return inject(v, vec);
        case vector::debug: return debug_trap(v);
        case vector::invalid_tss:
        case vector::segment_not_present:
        case vector::stack_fault:
        case vector::alignment: return inject_with_error(v, vec, v.guest.error_code);
        case 0x80:
            if (v.traps[0x80].address != 0 && (v.traps[0x80].flags & 3) >= (v.kernel_mode != 0 ? 1 : 3)) return inject(v, 0x80);
            v.guest.rip -= 2;
            return inject_with_error(v, vector::general_protection, (0x80 << 3) | 2);
        default: return inject(v, vec);
    }
}

}  // namespace xylem::pv
