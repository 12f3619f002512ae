// SPDX-License-Identifier: MIT
#include "guest/lib/pci.hpp"

#include "guest/kit/calls.hpp"
#include "guest/kit/cpu.hpp"
#include "guest/kit/privileged.hpp"

namespace xylem::pci {
namespace {

constexpr u16 address_port = 0xcf8, data_port = 0xcfc;
constexpr u8 reg_id = 0, reg_command = 4, reg_class = 8, reg_bar0 = 0x10, reg_capabilities = 0x34, reg_interrupt = 0x3c;

u32 address_of(const Device& d, u8 reg) {
    return 0x80000000 | u32{d.bus} << 16 | u32{d.devfn} << 8 | (reg & 0xfcu);
}

template <class Wanted>
std::optional<Device> find(Wanted&& wanted) {
    for (unsigned devfn = 0; devfn < 256; ++devfn) {
        const auto d = probe(0, static_cast<u8>(devfn));
        if (d && wanted(*d)) return d;
    }
    return std::nullopt;
}

}  // namespace

Result<> start() {
    physdev_set_iopl_t iopl{.iopl = 1};
    if (const long r = kit::call_physdev(PHYSDEVOP_set_iopl, &iopl); r < 0) return fail(static_cast<Errno>(-r));
    return {};
}

u32 read(const Device& d, u8 reg) {
    const kit::EventsMasked guard;
    kit::out32(address_port, address_of(d, reg));
    return kit::in32(data_port);
}
void write(const Device& d, u8 reg, u32 value) {
    const kit::EventsMasked guard;
    kit::out32(address_port, address_of(d, reg));
    kit::out32(data_port, value);
}
u16 read16(const Device& d, u8 reg) {
    return static_cast<u16>(read(d, reg) >> (8 * (reg & 2)));
}
void write16(const Device& d, u8 reg, u16 value) {
    const kit::EventsMasked guard;
    kit::out32(address_port, address_of(d, reg));
    kit::out16(static_cast<u16>(data_port + (reg & 2)), value);
}

std::optional<Device> probe(u8 bus, u8 devfn) {
    Device d{.bus = bus, .devfn = devfn};
    const u32 ids = read(d, reg_id);
    if (ids == ~u32{0}) return std::nullopt;
    d.vendor = static_cast<u16>(ids);
    d.id = static_cast<u16>(ids >> 16);
    d.class_code = read(d, reg_class) >> 8;
    d.pin = static_cast<u8>(read(d, reg_interrupt) >> 8);
    return d;
}

long announce(const Device& d) {
    alignas(8) u8 room[sizeof(physdev_pci_device_add) + 8] = {};
    auto* request = reinterpret_cast<physdev_pci_device_add*>(room);
    request->bus = d.bus;
    request->devfn = d.devfn;
    return kit::call_physdev(PHYSDEVOP_pci_device_add, request);
}

std::optional<Device> find_class(u32 class_code) {
    return find([=](const Device& d) { return d.class_code == class_code; });
}
std::optional<Device> find_id(u16 vendor, u16 id) {
    return find([=](const Device& d) { return d.vendor == vendor && d.id == id; });
}

u64 bar(const Device& d, unsigned number) {
    const auto reg = static_cast<u8>(reg_bar0 + 4 * number);
    const u32 low = read(d, reg);
    const bool wide = (low & 6) == 4;
    return (wide ? u64{read(d, static_cast<u8>(reg + 4))} << 32 : 0) | (low & ~15u);
}

void enable(const Device& d) {
    write(d, reg_command, (read(d, reg_command) & 0xffff & ~u32{0x400}) | 6);  // and its INTx may speak
}

u8 find_capability(const Device& d, u8 id) {
    if ((read(d, reg_command) >> 20 & 1) == 0) return 0;
    u8 at = static_cast<u8>(read(d, reg_capabilities) & 0xfc);
    for (int i = 0; at >= 0x40 && i < 48; ++i) {
        const u32 head = read(d, at);
        if ((head & 0xff) == id) return at;
        at = static_cast<u8>(head >> 8 & 0xfc);
    }
    return 0;
}

u32 gsi_of(const Device& d) {
    const u32 slot = d.devfn >> 3, pin = d.pin - 1u;
    return slot <= 24 ? 20 + (slot + pin) % 4 : 16 + pin % 8;
}

}  // namespace xylem::pci
