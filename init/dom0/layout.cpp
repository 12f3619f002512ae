// SPDX-License-Identifier: MIT
#include "init/dom0/layout.hpp"

#include "base/panic.hpp"

namespace xylem::dom0 {
namespace {

// Tables of one level that a range of addresses needs.
u64 tables_for(u64 start, u64 end, unsigned level) {
    const unsigned shift = 12 + 9 * level;
    return end == start ? 0 : ((end - 1) >> shift) - (start >> shift) + 1;
}

// Without the root.
u64 tables_below_root(u64 start, u64 end) {
    return tables_for(start, end, 1) + tables_for(start, end, 2) + tables_for(start, end, 3);
}

}  // namespace

Layout plan(const image::PvKernel& kernel, u64 pages, u64 initrd_pages) {
    constexpr u64 slack = 512 * kib;
    constexpr u64 border = 4 * mib;
    if (!kernel.init_p2m)
        panic("dom0 kernel: it has no INIT_P2M note; kernels that want the p2m behind their image are not supported");
    Layout l;
    l.virt_base = kernel.virt_base;
    l.start_info_pfn = align_up(kernel.kernel_end, page_size) >> page_shift;
    l.tables_pfn = l.start_info_pfn + 1;
    // The tables map themselves: count until the count holds.
    for (u64 count = 1;;) {
        l.stack_pfn = l.tables_pfn + count;
        const u64 end = align_up(kernel.virt_base + ((l.stack_pfn + 1) << page_shift) + slack, border);
        l.end_pfn = (end - kernel.virt_base) >> page_shift;
        const u64 needed = 1 + tables_below_root(kernel.virt_base, end);
        if (needed <= count) break;
        count = needed;
    }
    l.table_count = l.stack_pfn - l.tables_pfn;
    l.initrd_pfn = l.end_pfn;
    l.initrd_pages = initrd_pages;
    l.p2m_va = *kernel.init_p2m;
    l.p2m_pfn = l.initrd_pfn + initrd_pages;
    l.p2m_pages = align_up(pages * 8, page_size) >> page_shift;
    l.p2m_table_pages = tables_below_root(l.p2m_va, l.p2m_va + (l.p2m_pages << page_shift));
    if (l.p2m_pfn + l.p2m_pages + l.p2m_table_pages > pages)
        panic("dom0: {} MiB of memory do not hold its kernel and initrd; use a larger dom0_mem (at least {} MiB)", pages >> 8,
              ((l.p2m_pfn + l.p2m_pages + l.p2m_table_pages) >> 8) + 64);
    return l;
}

}  // namespace xylem::dom0
