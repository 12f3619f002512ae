// SPDX-License-Identifier: MIT
// Turning a frame into a page table, and back. Called through core/mem/table_types.hpp on the first and last type use.
#include <algorithm>

#include "arch/x86/pv/pte.hpp"
#include "arch/x86/pv/roots.hpp"
#include "arch/x86/pv/segments.hpp"
#include "core/port/preempt.hpp"

namespace xylem::pv {
namespace {

Result<> validate_table(Domain& owner, Mfn mfn, unsigned level) {
    u64* table = table_of(mfn);
    for (unsigned i = 0; i < 512; ++i) {
        const u64 entry = table[i];
        if (!is_present(entry) || (level == 4 && is_hypervisor_slot(i))) continue;
        u64 complete = entry;
        if (Result<> r = acquire_entry(owner, owner.id, level, complete); !r) {
            while (i-- > 0)
                if (!(level == 4 && is_hypervisor_slot(i))) release_entry(level, table[i]);
            return r;
        }
        if (complete != entry) table[i] = complete;
        if (level > 1) port::preemption_point();
    }
    if (level == 4) install_hypervisor_slots(owner, table);
    return {};
}

void invalidate_table(Mfn mfn, unsigned level) {
    const u64* table = table_of(mfn);
    for (unsigned i = 0; i < 512; ++i) {
        const u64 entry = table[i];
        if (!is_present(entry) || (level == 4 && is_hypervisor_slot(i))) continue;
        release_entry(level, entry);
        if (level > 1) port::preemption_point();
    }
    if (level == 4) std::fill_n(table_of(mfn) + layout::first_slot, layout::end_slot - layout::first_slot, u64{0});
}

}  // namespace
}  // namespace xylem::pv

namespace xylem::port {

Result<> validate_typed_page(PageInfo& page, PageType type) {
    const DomainRef owner = find_domain(page.owner());
    if (!owner) return fail(XEN_EINVAL);
    if (is_page_table(type)) return pv::validate_table(*owner, mfn_of(page), static_cast<unsigned>(type));
    return pv::validate_descriptor_page(mfn_of(page));
}

void invalidate_typed_page(PageInfo& page, PageType type) {
    if (is_page_table(type)) pv::invalidate_table(mfn_of(page), static_cast<unsigned>(type));
}

}  // namespace xylem::port
