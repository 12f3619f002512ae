// SPDX-License-Identifier: MIT
// Host stand-in for touching guest memory: a walk of the running vCPU's page tables in simulated RAM (mmu.hpp).
#pragma once

#include "arch/host/mmu.hpp"
#include "cpu/instructions.hpp"
#include "cpu/layout.hpp"

namespace xylem::cpu {

inline bool is_guest_range(u64 va, u64 bytes) {
    const u64 end = va + bytes;
    return end >= va && (end <= layout::hypervisor_start || va >= layout::hypervisor_end);
}

inline void user_access_begin() {
    if (std::exchange(host::registers().user_access, true)) std::abort();
}
inline void user_access_end() {
    if (!std::exchange(host::registers().user_access, false)) std::abort();
}

inline bool read_u64(u64 va, u64& to) {
    if (!host::registers().user_access) std::abort();
    return host::guest_read(va, &to, sizeof to);
}
inline bool write_u64(u64 va, u64 value) {
    if (!host::registers().user_access) std::abort();
    return host::guest_write(va, &value, sizeof value);
}
inline bool read_bytes(void* to, u64 va, u64 bytes) {
    if (!host::registers().user_access) std::abort();
    return host::guest_read(va, to, bytes);
}

inline bool try_load_gs(u16 selector) {
    if (selector >= host::simulation.loadable_selectors_below) return false;
    host::registers().gs = selector;
    host::registers().gs_base = 0;
    return true;
}
inline bool try_load_fs(u16 selector) {
    if (selector >= host::simulation.loadable_selectors_below) return false;
    host::registers().fs = selector;
    host::registers().fs_base = 0;
    return true;
}
inline bool try_load_ds(u16 selector) {
    if (selector >= host::simulation.loadable_selectors_below) return false;
    host::registers().ds = selector;
    return true;
}
inline bool try_load_es(u16 selector) {
    if (selector >= host::simulation.loadable_selectors_below) return false;
    host::registers().es = selector;
    return true;
}
inline bool try_rdmsr(u32 msr, u64& value) {
    u64* where = nullptr;
    if (!host_msr(msr, where)) return false;
    value = *where;
    return true;
}
inline bool try_wrmsr(u32 msr, u64 value) {
    u64* where = nullptr;
    if (!host_msr(msr, where)) return false;
    *where = value;
    return true;
}
inline bool try_xsetbv(u32, u64 value) {
    host::registers().xcr0 = value;
    return true;
}

}  // namespace xylem::cpu
