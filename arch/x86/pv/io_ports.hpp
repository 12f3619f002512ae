// SPDX-License-Identifier: MIT
#pragma once

#include "arch/x86/domain/arch_vcpu.hpp"

namespace xylem::pv {

// May the running guest code use ports [port, port + bytes) at all (virtual IOPL, I/O bitmap)? Otherwise #GP.
bool may_use_ports(ArchVcpu& v, u16 port, u32 bytes);

// A port access on the guest's behalf [ABI.md 2.5]. Ports the domain has no right to read as all ones and swallow writes.
u32 read_port(ArchVcpu& v, u16 port, u32 bytes);
void write_port(ArchVcpu& v, u16 port, u32 bytes, u32 value);

// Ports the hardware domain may not touch because the hypervisor uses them (the console's UART).
void deny_ports(u16 first, u16 last);

}  // namespace xylem::pv
