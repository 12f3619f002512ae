// SPDX-License-Identifier: MIT
// Where things are in dom0's first address space [ABI.md 1.2].
#pragma once

#include "base/types.hpp"
#include "init/dom0/image/notes.hpp"

namespace xylem::dom0 {

// Frame numbers are dom0's own. [0, end_pfn) is mapped at virt_base: kernel, start_info, page tables, stack, slack; then come
// the initrd (not mapped), the p2m and its page tables.
struct Layout {
    u64 virt_base = 0;
    u64 start_info_pfn = 0;
    u64 tables_pfn = 0;
    u64 table_count = 0;
    u64 stack_pfn = 0;
    u64 end_pfn = 0;
    u64 initrd_pfn = 0;
    u64 initrd_pages = 0;
    u64 p2m_va = 0;
    u64 p2m_pfn = 0;
    u64 p2m_pages = 0;
    u64 p2m_table_pages = 0;
};

// Panics where the kernel does not fit into `pages`.
Layout plan(const image::PvKernel& kernel, u64 pages, u64 initrd_pages);

}  // namespace xylem::dom0
