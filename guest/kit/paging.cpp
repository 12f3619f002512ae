// SPDX-License-Identifier: MIT
#include "guest/kit/paging.hpp"

#include "guest/kit/calls.hpp"
#include "guest/kit/cpu.hpp"
#include "guest/kit/start.hpp"

namespace xylem::kit {
namespace {

u64 next_window = window_base;

Result<> answer(long r) {
    if (r < 0) return fail(static_cast<Errno>(-r));
    return {};
}

u64* table_below(u64 entry) {
    if ((entry & pte::present) == 0 || !owns(pte::frame(entry))) return nullptr;
    return static_cast<u64*>(address_of(pfn_of(pte::frame(entry))));
}

}  // namespace

u64* kernel_root() {
    static u64* root = nullptr;
    if (root == nullptr) root = reinterpret_cast<u64*>(boot_info().pt_base);
    return root;
}

u64* find_entry(u64* root, u64 va, unsigned level) {
    u64* table = root;
    for (unsigned at = 4; at > level; --at) {
        table = table_below(table[table_index(va, at)]);
        if (table == nullptr) return nullptr;
    }
    return &table[table_index(va, level)];
}

Maddr machine_address(const volatile void* linear_address) {
    return Maddr((frame_at(linear_address).raw << page_shift) + (word(linear_address) & page_mask));
}

Result<> set_entry(u64* entry, u64 value, u32 owner_of_frame) {
    const mmu_update_t request{.ptr = machine_address(entry).raw | MMU_NORMAL_PT_UPDATE, .val = value};
    return answer(call_mmu_update(&request, 1, nullptr, owner_of_frame));
}

Result<> set_entry_keeping_read_only(u64* entry, u64 value) {
    const bool same_page = ((*entry ^ value) & (pte::address | pte::present)) == 0;
    if (same_page && (*entry & pte::present) != 0 && (*entry & pte::writable) == 0) value &= ~pte::writable;
    return set_entry(entry, value);
}

void store_entry(u64* entry, u64 value) {
    *const_cast<volatile u64*>(entry) = value;
}

Result<> protect(void* linear_page, bool writable) {
    const u64 flags = writable ? pte::data : pte::read_only;
    return answer(update_va_mapping(word(linear_page), pte::make(frame_at(linear_page), flags), UVMF_INVLPG | UVMF_ALL));
}

Result<u64*> new_table() {
    auto* table = static_cast<u64*>(allocate_pages());
    if (table == nullptr) return fail(XEN_ENOMEM);
    if (const auto r = protect(table, false); !r) {
        free_pages(table);
        return fail(r.error());
    }
    return table;
}

void give_back_table(u64* table) {
    if (protect(table, true)) free_pages(table);  // else it is still a table of something: lost, but safe
}

Result<> map(u64 va, u64 entry, u64* root, u32 owner_of_frame) {
    u64* table = root != nullptr ? root : kernel_root();
    for (unsigned level = 4; level > 1; --level) {
        u64* const up = &table[table_index(va, level)];
        if ((*up & pte::present) == 0) {
            u64* const made = TRY(new_table());
            if (const auto r = set_entry(up, pte::make(frame_at(made), pte::table)); !r) {
                give_back_table(made);
                return r;
            }
        }
        table = table_below(*up);
        if (table == nullptr) return fail(XEN_EINVAL);  // a foreign frame above the last level
    }
    return set_entry(&table[table_index(va, 1)], entry, owner_of_frame);
}

Result<> unmap(u64 va, u64* root) {
    u64* const entry = find_entry(root != nullptr ? root : kernel_root(), va, 1);
    if (entry == nullptr) return {};
    TRY(set_entry(entry, 0));
    flush_page_everywhere(va);
    return {};
}

u64 reserve_window(u64 pages) {
    const EventsMasked guard;
    const u64 va = next_window;
    next_window += pages << page_shift;
    return va;
}

Result<void*> map_machine(Maddr at, u64 bytes, u64 flags) {
    const u64 first = at.raw & ~page_mask;
    const u64 pages = (align_up(at.raw + bytes, page_size) - first) >> page_shift;
    const u64 va = reserve_window(pages);
    for (u64 i = 0; i < pages; ++i)
        TRY(map(va + (i << page_shift), (first + (i << page_shift)) | flags | pte::machine, nullptr, DOMID_IO));
    return reinterpret_cast<void*>(va + (at.raw & page_mask));
}

long ext_op(unsigned command, u64 arg1, u64 arg2) {
    mmuext_op_t op{};
    op.cmd = command;
    op.arg1.linear_addr = arg1;
    op.arg2.nr_ents = 0;
    __builtin_memcpy(&op.arg2, &arg2, sizeof arg2);
    return call_mmuext(&op, 1);
}

long pin(Mfn table, unsigned level, u32 domain) {
    mmuext_op_t op{};
    op.cmd = MMUEXT_PIN_L1_TABLE + level - 1;
    op.arg1.mfn = table.raw;
    return call_mmuext(&op, 1, nullptr, domain);
}
long unpin(Mfn table) {
    return ext_op(MMUEXT_UNPIN_TABLE, table.raw);
}
long set_root(Mfn root) {
    return ext_op(MMUEXT_NEW_BASEPTR, root.raw);
}
long set_user_root(Mfn root) {
    return ext_op(MMUEXT_NEW_USER_BASEPTR, root.raw);
}
void flush_local() {
    ext_op(MMUEXT_TLB_FLUSH_LOCAL);
}
void flush_page(u64 va) {
    ext_op(MMUEXT_INVLPG_LOCAL, va);
}
void flush_everywhere() {
    ext_op(MMUEXT_TLB_FLUSH_ALL);
}
void flush_page_everywhere(u64 va) {
    ext_op(MMUEXT_INVLPG_ALL, va);
}

}  // namespace xylem::kit
