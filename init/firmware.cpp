// SPDX-License-Identifier: MIT
#include "init/firmware.hpp"

#include "cpu/layout.hpp"
#include "cpu/port_io.hpp"
#include "init/hypervisor.hpp"
#include "init/platform.hpp"

namespace xylem {

u8 keyboard_shift_flags() {
    if (hypervisor().boot.efi_system_table != 0) return 0;
    return *static_cast<const u8*>(layout::direct_map(Maddr(0x417)));  // BIOS data area
}

u8 read_cmos(u8 index) {
    cpu::out8(0x70, index);
    return cpu::in8(0x71);
}
void write_cmos(u8 index, u8 value) {
    cpu::out8(0x70, index);
    cpu::out8(0x71, value);
}

}  // namespace xylem
