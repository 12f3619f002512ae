// SPDX-License-Identifier: MIT
// Page tables. They are read-only to the guest and change through the hypervisor, which checks every entry.
#pragma once

#include "abi/xen.hpp"
#include "base/result.hpp"
#include "guest/kit/memory.hpp"

namespace xylem::kit {

namespace pte {
inline constexpr u64 present = 1, writable = 2, user = 4, pwt = 8, pcd = 0x10, accessed = 0x20, dirty = 0x40, large = 0x80,
                     pat = 0x80, global = 0x100, available0 = 0x200, available1 = 0x400, available2 = 0x800,
                     no_execute = u64{1} << 63;
// The kit's own mark: the frame is a machine's (device, firmware, foreign), not one of ours that the m2p knows.
inline constexpr u64 machine = available1;
inline constexpr u64 data = present | writable | user | accessed | dirty | no_execute;
inline constexpr u64 read_only = present | user | accessed | no_execute;
inline constexpr u64 table = present | writable | user | accessed | dirty;
inline constexpr u64 address = 0x000f'ffff'ffff'f000;
inline constexpr u64 uncached = pwt | pcd;

constexpr Mfn frame(u64 entry) {
    return Mfn((entry & address) >> page_shift);
}
constexpr u64 make(Mfn frame, u64 flags) {
    return frame.raw << page_shift | flags;
}
}  // namespace pte

constexpr unsigned table_index(u64 va, unsigned level) {
    return static_cast<unsigned>(va >> (12 + 9 * (level - 1))) & 511;
}

// The kernel's root, as a page of the linear mapping.
u64* kernel_root();

// The entry for `va` in the table of this level (4 .. 1), null where a table above is missing.
u64* find_entry(u64* root, u64 va, unsigned level);
Maddr machine_address(const volatile void* linear_address);

// An entry of a table in use: by mmu_update.
Result<> set_entry(u64* entry, u64 value, u32 owner_of_frame = DOMID_SELF);
// As set_entry, but while tables are being built a page that is mapped read-only stays so; all other bits change.
Result<> set_entry_keeping_read_only(u64* entry, u64 value);
// By a plain store, which the hypervisor emulates (L1 entries only).
void store_entry(u64* entry, u64 value);

// A zeroed page that may become a table: read-only in the linear mapping. give_back makes it an ordinary page.
Result<u64*> new_table();
void give_back_table(u64* table);
Result<> protect(void* linear_page, bool writable);

// Makes sure there are tables down to L1 for the address, then sets the L1 entry.
Result<> map(u64 va, u64 entry, u64* root = nullptr, u32 owner_of_frame = DOMID_SELF);
Result<> unmap(u64 va, u64* root = nullptr);

// Addresses of the window, never given twice.
u64 reserve_window(u64 pages);
// Machine memory (devices, ACPI tables): uncached unless told otherwise.
Result<void*> map_machine(Maddr at, u64 bytes, u64 flags = pte::data | pte::uncached);

long pin(Mfn table, unsigned level, u32 domain = DOMID_SELF);
long unpin(Mfn table);
long ext_op(unsigned command, u64 arg1 = 0, u64 arg2 = 0);
long set_root(Mfn root);
long set_user_root(Mfn root);
void flush_local();
void flush_page(u64 va);
void flush_everywhere();
void flush_page_everywhere(u64 va);

}  // namespace xylem::kit
