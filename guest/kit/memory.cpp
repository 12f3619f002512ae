// SPDX-License-Identifier: MIT
#include "guest/kit/memory.hpp"

#include <algorithm>
#include <cstring>

#include "base/panic.hpp"
#include "guest/kit/calls.hpp"
#include "guest/kit/cpu.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/start.hpp"

extern "C" char kit_image_begin[], kit_data_begin[], kit_image_end[];

namespace xylem::kit {
namespace {

const u64* m2p = reinterpret_cast<const u64*>(m2p_base);
u64 m2p_entries;
u64* p2m;
u64 pages;

u64 taken[linear_pages / 64];  // one bit per page
u64 next_page, free_count;

bool is_taken(u64 pfn) {
    return (taken[pfn / 64] >> (pfn % 64) & 1) != 0;
}
void mark(u64 pfn, bool now_taken) {
    if (now_taken == is_taken(pfn)) return;
    taken[pfn / 64] ^= u64{1} << (pfn % 64);
    free_count += now_taken ? ~u64{0} : u64{1};
}
void reserve(u64 first, u64 count) {
    for (u64 pfn = first; pfn < first + count && pfn < std::min(pages, linear_pages); ++pfn) mark(pfn, true);
}

void ask_for_m2p() {
    xen_machphys_mapping_t where{};
    if (memory_op(XENMEM_machphys_mapping, &where) != 0) {
        m2p_entries = (u64{1} << 38) / 8;
        return;
    }
    m2p = reinterpret_cast<const u64*>(where.v_start);
    m2p_entries = where.max_mfn + 1;
}

// What the builder used: the image, start_info, rings, page tables, stack; then the p2m and its tables; the initrd.
void reserve_used(const start_info_t& info) {
    std::fill_n(taken, std::size(taken), ~u64{0});
    for (u64 pfn = 1; pfn < std::min(pages, linear_pages); ++pfn) mark(pfn, false);
    const u64 after_tables = pfn_at(reinterpret_cast<void*>(info.pt_base)).raw + info.nr_pt_frames;
    const u64 after_stack = ((boot_registers().rsp - linear_base - 1) >> page_shift) + 1;
    const u64 image = pfn_at(kit_image_begin).raw;
    reserve(image, std::max(after_tables, after_stack) - image);
    reserve(info.first_p2m_pfn, info.nr_p2m_frames);
    if ((info.flags & SIF_MOD_START_PFN) != 0) reserve(info.mod_start, (info.mod_len + page_mask) >> page_shift);
    if (!is_dom0()) {
        reserve(pfn_of(Mfn(info.store_mfn)).raw, 1);
        reserve(pfn_of(Mfn(info.console.domU.mfn)).raw, 1);
    }
}

// One L1 table for 2 MiB of memory that has none yet. It is filled while it is an ordinary page.
void add_linear_table(u64 first_pfn, const start_info_t& info) {
    auto* table = static_cast<u64*>(allocate_pages());
    if (table == nullptr) panic("no memory for page tables");
    for (u64 i = 0; i < 512; ++i) {
        const u64 pfn = first_pfn + i;
        const bool is_p2m = pfn - info.first_p2m_pfn < info.nr_p2m_frames;  // its tables must not be writable
        if (pfn < pages && !is_p2m && p2m[pfn] != ~u64{0}) table[i] = pte::make(Mfn(p2m[pfn]), pte::data);
    }
    if (!protect(table, false)) panic("page {} cannot become a page table", pfn_at(table).raw);
    u64* const l2 = find_entry(kernel_root(), linear(Gfn(first_pfn)), 2);
    XYLEM_BUG_ON(l2 == nullptr);
    if (const auto r = set_entry(l2, pte::make(frame_at(table), pte::table)); !r)
        panic("mmu_update of the linear mapping at page {}: error {}", first_pfn, r.error());
}

// The builder maps everything writable and executable: only the image's text stays executable, and becomes read-only.
void take_rights_away(u64 mapped_by_builder) {
    constexpr u64 at_a_time = 128;
    static mmu_update_t list[at_a_time];
    unsigned count = 0;
    const auto flush = [&] {
        if (const long r = call_mmu_update(list, count); r != 0) panic("mmu_update of the first mapping: {}", r);
        count = 0;
    };
    for (u64 pfn = 0; pfn < mapped_by_builder; ++pfn) {
        const u64 va = linear(Gfn(pfn));
        const u64* entry = find_entry(kernel_root(), va, 1);
        if (entry == nullptr || (*entry & pte::present) == 0) continue;
        const bool is_text = va >= word(kit_image_begin) && va < word(kit_data_begin);
        const u64 value = is_text ? *entry & ~pte::writable : *entry | pte::no_execute;
        list[count++] = {.ptr = machine_address(entry).raw | MMU_NORMAL_PT_UPDATE, .val = value};
        if (count == at_a_time) flush();
    }
    if (count != 0) flush();
    flush_local();
}

// Until this only what the builder mapped may be used.
void map_all(const start_info_t& info) {
    u64 mapped_by_builder = 0;
    for (u64 pfn = 0; pfn < std::min(pages, linear_pages); pfn += 512) {
        const u64* l2 = find_entry(kernel_root(), linear(Gfn(pfn)), 2);
        if (l2 == nullptr || (*l2 & pte::present) == 0) {
            add_linear_table(pfn, info);
        } else {
            mapped_by_builder = pfn + 512;
        }
    }
    take_rights_away(mapped_by_builder);
}

}  // namespace

Mfn frame_of(Gfn pfn) {
    return pfn.raw < pages ? Mfn(p2m[pfn.raw]) : invalid_mfn;
}
void set_frame_of(Gfn pfn, Mfn mfn) {
    XYLEM_BUG_ON(pfn.raw >= pages);
    p2m[pfn.raw] = mfn.raw;
}
Gfn pfn_of(Mfn mfn) {
    return mfn.raw < m2p_entries ? Gfn(*const_cast<const volatile u64*>(&m2p[mfn.raw])) : Gfn(~u64{0});
}
bool owns(Mfn mfn) {
    const Gfn pfn = pfn_of(mfn);
    return pfn.raw < pages && p2m[pfn.raw] == mfn.raw;
}
u64 page_count() {
    return pages;
}

void start_memory(const start_info_t& info) {
    pages = info.nr_pages;
    p2m = reinterpret_cast<u64*>(info.mfn_list);
    ask_for_m2p();
    reserve_used(info);
    next_page = pfn_at(kit_image_end).raw;
    map_all(info);
    next_page = 1;
}

void* allocate_pages(unsigned order) {
    const EventsMasked guard;
    const u64 count = u64{1} << order;
    const u64 end = std::min(pages, linear_pages);
    for (u64 round = 0; round < 2; ++round) {
        for (u64 pfn = align_up(next_page, count); pfn + count <= end; pfn += count) {
            u64 i = 0;
            while (i < count && !is_taken(pfn + i)) ++i;
            if (i < count) continue;
            reserve(pfn, count);
            next_page = pfn + count;
            void* const p = address_of(Gfn(pfn));
            std::memset(p, 0, count << page_shift);
            return p;
        }
        next_page = 1;
    }
    return nullptr;
}

void free_pages(void* first, unsigned order) {
    const EventsMasked guard;
    const u64 pfn = pfn_at(first).raw;
    for (u64 i = 0; i < u64{1} << order; ++i) {
        XYLEM_BUG_ON(!is_taken(pfn + i));
        mark(pfn + i, false);
    }
}

u64 free_page_count() {
    return free_count;
}

}  // namespace xylem::kit
