// SPDX-License-Identifier: MIT
#include "arch/x86/pv/io_ports.hpp"

#include <array>

#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/pv/roots.hpp"
#include "core/pci/config_filter.hpp"
#include "core/port/guest.hpp"
#include "core/port/io_rights.hpp"
#include "cpu/port_io.hpp"
#include "init/platform.hpp"

namespace xylem::pv {
namespace {

struct PortRange {
    u16 first, last;
};
constinit std::array<PortRange, 16> denied{};
constinit usize denied_count = 0;

constexpr u16 pci_address = 0xcf8, pci_data = 0xcfc, cmos_index = 0x70, cmos_data = 0x71;
// What the hypervisor keeps for itself on every PC: interrupt controllers, timer.
constexpr PortRange always_denied[] = {{0x20, 0x21}, {0xa0, 0xa1}, {0x40, 0x43}, {0x61, 0x61}, {pci_data, pci_data + 3}};

bool overlaps(const PortRange& r, u32 first, u32 last) {
    return first <= r.last && last >= r.first;
}

bool is_permitted(const Domain& d, u32 port, u32 bytes) {
    return port::may_use_ports(d, port, port + bytes - 1);
}

u32 all_ones(u32 bytes) {
    return bytes == 4 ? ~0U : (1U << (8 * bytes)) - 1;
}

u32 hardware_read(u16 port, u32 bytes) {
    switch (bytes) {
        case 1: return cpu::in8(port);
        case 2: return cpu::in16(port);
        default: return cpu::in32(port);
    }
}

void hardware_write(u16 port, u32 bytes, u32 value) {
    switch (bytes) {
        case 1: return cpu::out8(port, static_cast<u8>(value));
        case 2: return cpu::out16(port, static_cast<u16>(value));
        default: return cpu::out32(port, value);
    }
}

bool is_pci_data(u32 port, u32 bytes) {
    return port >= pci_data && port + bytes <= pci_data + 4U;
}

}  // namespace

void deny_ports(u16 first, u16 last) {
    if (denied_count < denied.size()) denied[denied_count++] = {first, last};
}

bool may_use_ports(ArchVcpu& v, u16 port, u32 bytes) {
    if (v.virtual_iopl >= (v.kernel_mode != 0 ? 1 : 3)) return true;
    if (v.iobitmap_va == 0 || u32{port} + bytes > v.iobitmap_ports) return false;
    u8 bits[2]{};
    const u64 at = v.iobitmap_va + port / 8;
    const usize count = (port & 7) + bytes > 8 ? 2 : 1;
    {
        const KernelView view(v);  // whose bitmap it is
        if (!port::copy_from_guest(bits, at, count)) return false;
    }
    const u32 wanted = ((1U << bytes) - 1) << (port & 7);
    return ((u32{bits[0]} | u32{bits[1]} << 8) & wanted) == 0;
}

u32 read_port(ArchVcpu& v, u16 port, u32 bytes) {
    Domain& d = v.vcpu->domain;
    if (port == pci_address && bytes == 4) return d.arch->pci_address;
    if (is_pci_data(port, bytes) && d.is_hardware_domain) {
        const Result<u32> r = pci::guest_config_read(d, d.arch->pci_address, port - pci_data, bytes);
        return r ? *r : all_ones(bytes);
    }
    if (d.is_hardware_domain && bytes == 1 && port == cmos_index) return d.arch->cmos_index;
    if (d.is_hardware_domain && bytes == 1 && port == cmos_data) return read_cmos(d.arch->cmos_index & 0x7f);
    if (!is_permitted(d, port, bytes)) return all_ones(bytes);
    return hardware_read(port, bytes);
}

void write_port(ArchVcpu& v, u16 port, u32 bytes, u32 value) {
    Domain& d = v.vcpu->domain;
    if (port == pci_address && bytes == 4) {
        d.arch->pci_address = value;
        return;
    }
    if (is_pci_data(port, bytes) && d.is_hardware_domain) {
        (void)pci::guest_config_write(d, d.arch->pci_address, port - pci_data, bytes, value);
        return;
    }
    if (d.is_hardware_domain && bytes == 1 && port == cmos_index) {
        d.arch->cmos_index = static_cast<u8>(value);
        return;
    }
    if (d.is_hardware_domain && bytes == 1 && port == cmos_data)
        return write_cmos(d.arch->cmos_index & 0x7f, static_cast<u8>(value));
    if (is_permitted(d, port, bytes)) hardware_write(port, bytes, value);
}

}  // namespace xylem::pv

namespace xylem::port {

bool may_use_ports(const Domain& d, u32 first, u32 last) {
    if (!d.io.has_ports(first, last)) return false;
    for (const pv::PortRange& r : pv::always_denied)
        if (pv::overlaps(r, first, last)) return false;
    for (usize i = 0; i < pv::denied_count; ++i)
        if (pv::overlaps(pv::denied[i], first, last)) return false;
    return true;
}

}  // namespace xylem::port
