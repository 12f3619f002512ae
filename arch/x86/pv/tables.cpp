// SPDX-License-Identifier: MIT
// Turning a frame into a page table, and back. Called through core/mem/table_types.hpp on the first and last type use.
#include <algorithm>

#include "arch/x86/pv/pte.hpp"
#include "arch/x86/pv/roots.hpp"
#include "arch/x86/pv/segments.hpp"
#include "core/port/preempt.hpp"

namespace xylem::pv {
namespace {

// Most entries of most tables are absent: eight at a time say so with one test.
constexpr unsigned group = 8;
bool any_present(const u64* e) {
    return is_present(e[0] | e[1] | e[2] | e[3] | e[4] | e[5] | e[6] | e[7]);
}

// Calls visit(entry) for every present entry below `end` that is the guest's, until it says false; where it stopped.
template <class Visit>
unsigned for_each_entry(u64* table, unsigned level, unsigned end, Visit&& visit) {
    for (unsigned base = 0; base < end; base += group) {
        if (!any_present(table + base)) [[likely]]
            continue;
        if (level == 4 && is_hypervisor_slot(base)) continue;
        for (unsigned i = base; i < base + group && i < end; ++i)
            if (is_present(table[i]) && !visit(table[i])) return i;
    }
    return end;
}
static_assert(layout::first_slot % group == 0 && layout::end_slot % group == 0);

Result<> validate_table(Domain& owner, Mfn mfn, unsigned level) {
    u64* table = table_of(mfn);
    Result<> result{};
    const unsigned stopped = for_each_entry(table, level, 512, [&](u64& entry) {
        u64 complete = entry;
        result = acquire_entry(owner, owner.id, level, complete);
        if (!result) return false;
        if (complete != entry) entry = complete;
        if (level > 1) port::preemption_point();
        return true;
    });
    if (!result) {
        for_each_entry(table, level, stopped, [level](u64& entry) {
            release_entry(level, entry);
            return true;
        });
        return result;
    }
    if (level == 4) install_hypervisor_slots(owner, table);
    return {};
}

void invalidate_table(Mfn mfn, unsigned level) {
    u64* table = table_of(mfn);
    for_each_entry(table, level, 512, [level](u64& entry) {
        release_entry(level, entry);
        if (level > 1) port::preemption_point();
        return true;
    });
    if (level == 4) std::fill_n(table + layout::first_slot, layout::end_slot - layout::first_slot, u64{0});
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
