// SPDX-License-Identifier: MIT
#include "arch/host/pci.hpp"

namespace xylem::port {

using host::pci_bus;

u32 pci_config_read(Sbdf device, u32 reg, u32 width) {
    if (reg + width > page_size || reg % width != 0) __builtin_trap();
    const auto f = pci_bus.functions.find(device.raw);
    return f == pci_bus.functions.end() ? ~u32{0} >> (32 - 8 * width) : f->second.get(reg, width);
}
void pci_config_write(Sbdf device, u32 reg, u32 width, u32 value) {
    if (reg + width > page_size || reg % width != 0) __builtin_trap();
    const auto f = pci_bus.functions.find(device.raw);
    if (f == pci_bus.functions.end()) return;
    ++f->second.writes;
    f->second.set(reg, width, value);
}
volatile void* map_device_memory(Maddr start, u64 bytes) {
    std::vector<u32>& words = pci_bus.memory[start.raw];
    if (words.size() < bytes / 4) words.resize(bytes / 4);
    return words.data();
}
Result<> confirm_ecam(Maddr, u16, u8, u8, bool) {
    if (!pci_bus.ecam_known) return fail(XEN_ENODEV);
    return {};
}

}  // namespace xylem::port
