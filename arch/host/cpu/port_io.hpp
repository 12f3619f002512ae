// SPDX-License-Identifier: MIT
// Host stand-in for the I/O ports: every access goes to the bus a test has plugged in. Without one, reads float high.
#pragma once

#include "base/types.hpp"

namespace xylem::cpu {

// A test's device model or recorder. `size` is the access width in bytes (1, 2 or 4).
class HostPortBus {
   public:
    virtual u32 in(u16 port, unsigned size) = 0;
    virtual void out(u16 port, u32 value, unsigned size) = 0;

   protected:
    ~HostPortBus() = default;
};

inline thread_local HostPortBus* host_port_bus = nullptr;

inline u8 in8(u16 port) {
    return static_cast<u8>(host_port_bus != nullptr ? host_port_bus->in(port, 1) : 0xff);
}
inline u16 in16(u16 port) {
    return static_cast<u16>(host_port_bus != nullptr ? host_port_bus->in(port, 2) : 0xffff);
}
inline u32 in32(u16 port) {
    return host_port_bus != nullptr ? host_port_bus->in(port, 4) : 0xffffffff;
}
inline void out8(u16 port, u8 value) {
    if (host_port_bus != nullptr) host_port_bus->out(port, value, 1);
}
inline void out16(u16 port, u16 value) {
    if (host_port_bus != nullptr) host_port_bus->out(port, value, 2);
}
inline void out32(u16 port, u32 value) {
    if (host_port_bus != nullptr) host_port_bus->out(port, value, 4);
}
inline void out8_run(u16 port, const char* bytes, usize count) {
    for (usize i = 0; i < count; ++i) out8(port, static_cast<u8>(bytes[i]));
}

}  // namespace xylem::cpu
