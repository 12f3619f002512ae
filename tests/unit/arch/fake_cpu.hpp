// SPDX-License-Identifier: MIT
// Simulated CPUs to make policies from: what CPUID says on them, and what the hypervisor decided to use.
#pragma once

#include "arch/host/cpus.hpp"

namespace xylem::host {

inline void put_leaf(u32 leaf, u32 subleaf, const CpuidValue& value) {
    simulation.cpuid[{leaf, subleaf}] = value;
}

inline void put_xstate(u64 states) {
    put_leaf(0xd, 0, {static_cast<u32>(states), 0, 0xa88, static_cast<u32>(states >> 32)});
    put_leaf(0xd, 1, {0xf, 0, 0, 0});
    put_leaf(0xd, 2, {256, 576, 0, 0});
    if ((states & 0xe0) != 0) {
        put_leaf(0xd, 5, {64, 1088, 0, 0});
        put_leaf(0xd, 6, {512, 1152, 0, 0});
        put_leaf(0xd, 7, {1024, 1664, 0, 0});
    }
    if ((states & 0x200) != 0) put_leaf(0xd, 9, {8, 2688, 2, 0});
}

// A server CPU with everything switched on that CPUID can say in the words that matter; `amd` chooses the vendor.
inline void become_server_cpu(bool amd) {
    const CpuidValue vendor =
        amd ? CpuidValue{0x10, 0x68747541, 0x444d4163, 0x69746e65} : CpuidValue{0x16, 0x756e6547, 0x6c65746e, 0x49656e69};
    put_leaf(0, 0, vendor);
    put_leaf(1, 0, {0x800f12, 0x05040800, 0xffffffff, 0xffffffff});
    put_leaf(2, 0, {0x76036301, 0xf0b5ff, 0, 0xc30000});
    put_leaf(4, 0, {0x1c004121, 0x01c0003f, 0x3f, 0});
    put_leaf(4, 1, {0x1c004122, 0x01c0003f, 0x3f, 0});
    put_leaf(5, 0, {64, 64, 3, 0x2020});
    put_leaf(6, 0, {0x77, 2, 9, 0});
    put_leaf(7, 0, {2, 0xffffffff, 0xffffffff, ~(1U << 29)});
    put_leaf(7, 1, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff});
    put_leaf(7, 2, {0, 0, 0, 0xffffffff});
    put_leaf(0xa, 0, {0x7300404, 0, 0, 0x603});
    put_leaf(0xb, 0, {1, 2, 0x100, 5});
    put_leaf(0xb, 1, {4, 16, 0x201, 5});
    put_xstate(0x2e7);
    put_leaf(0x80000000, 0, {0x80000028, vendor.b, vendor.c, vendor.d});
    put_leaf(0x80000001, 0, {0x800f12, 0x40000000, 0xffffffff, 0xffffffff});
    put_leaf(0x80000002, 0, {0x20535345, 1, 2, 3});
    put_leaf(0x80000005, 0, {4, 5, 6, 7});
    put_leaf(0x80000006, 0, {8, 9, 10, 11});
    put_leaf(0x80000007, 0, {1, 2, 3, 0xffffffff});
    put_leaf(0x80000008, 0, {0x3030, 0xffffffff, 0x400f, 0x10007});
    put_leaf(0x8000000a, 0, {1, 0x8000, 0, 0xffff});
    put_leaf(0x8000001e, 0, {5, 0x101, 0, 0});
    put_leaf(0x80000021, 0, {0xffffffff, 0x1234, 0xffffffff, 0});
    Features& f = environment.features;
    f.amd = amd;
    f.intel = !amd;
    f.has_sysenter_in_long_mode = !amd;
    f.has_xsave = f.has_fsgsbase = f.has_smep = f.has_smap = f.has_rdtscp = f.has_rdpid = true;
    f.xcr0 = 0xe7;
    f.physical_bits = 48;
}

}  // namespace xylem::host
