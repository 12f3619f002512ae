// SPDX-License-Identifier: MIT
// Descriptor tables: a GDT of the guest's own below the hypervisor's reserved entries, an LDT, and descriptors for thread areas.
#pragma once

#include "abi/xen.hpp"
#include "base/result.hpp"

namespace xylem::kit {

namespace descriptor {
inline constexpr u64 accessed = u64{1} << 40, writable = u64{1} << 41, code = u64{1} << 43, ordinary = u64{1} << 44,
                     ring3 = u64{3} << 45, present = u64{1} << 47, long_mode = u64{1} << 53, big = u64{1} << 54,
                     pages = u64{1} << 55;

constexpr u64 make(u32 base, u32 limit, u64 flags) {
    return (u64{limit} & 0xffff) | (u64{limit} >> 16 & 0xf) << 48 | (u64{base} & 0xffffff) << 16 | (u64{base} >> 24) << 56 |
           flags;
}
constexpr u64 data(u32 base = 0, u32 limit = 0xfffff) {
    return make(base, limit, accessed | writable | ordinary | ring3 | present | big | pages);
}
constexpr u64 code64() {
    return make(0, 0xfffff, accessed | writable | code | ordinary | ring3 | present | long_mode | pages);
}
constexpr u64 code32() {
    return make(0, 0xfffff, accessed | writable | code | ordinary | ring3 | present | big | pages);
}
}  // namespace descriptor

// One page, up to 512 entries.
class Gdt {
   public:
    static Gdt& of_this_cpu();
    Result<> install(unsigned entries = 512);
    Result<> set(unsigned index, u64 descriptor);
    u64 get(unsigned index) const { return page_[index]; }
    const u64* entry(unsigned index) const { return &page_[index]; }
    Result<> remove();

   private:
    u64* page_ = nullptr;
};

// Selectors of data segments in failsafe frames: ds, es, fs, gs.
using FailsafeHandler = void (*)(struct Frame& frame, const u16* selectors);
void set_failsafe_handler(FailsafeHandler handler);

long set_ldt(const void* entries, unsigned count);

}  // namespace xylem::kit
