// SPDX-License-Identifier: MIT
#include <algorithm>

#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/mm/hypervisor_tables.hpp"
#include "arch/x86/pv/domain_policy.hpp"
#include "arch/x86/pv/roots.hpp"
#include "arch/x86/pv/segments.hpp"

namespace xylem {

Result<> make_arch_domain(Domain& d) {
    OwnPtr<ArchDomain> arch = make_own<ArchDomain>();
    if (!arch) return fail(XEN_ENOMEM);
    // Windows: one L3, one L2, and an L1 for every 16 vCPUs. The idle domain needs none.
    const u64 tables = (d.max_vcpus * pv::window_pages + 511) / 512;
    const auto table = [] { return static_cast<u64*>(heap_allocate(page_size)); };
    arch->per_domain_l3_table = table();
    arch->per_domain_l2 = table();
    if (arch->per_domain_l3_table == nullptr || arch->per_domain_l2 == nullptr) return fail(XEN_ENOMEM);
    const auto link = [](const u64* t) { return layout::maddr_of_direct(t).raw | pte::present | pte::writable | pte::accessed; };
    arch->per_domain_l3 = layout::maddr_of_direct(arch->per_domain_l3_table).raw;
    arch->per_domain_l3_table[0] = link(arch->per_domain_l2);
    for (u64 i = 0; i < tables; ++i) {
        u64* l1 = table();
        if (l1 == nullptr) return fail(XEN_ENOMEM);
        arch->window_tables[i] = l1;
        arch->per_domain_l2[i] = link(l1);
    }
    d.arch = arch.release();
    return pv::give_default_policy(d);
}

void destroy_arch_domain(Domain& d) {
    if (d.arch == nullptr) return;
    pv::drop_policy(d);
    for (u64* l1 : d.arch->window_tables) heap_release(l1, page_size);
    heap_release(d.arch->per_domain_l2, page_size);
    heap_release(d.arch->per_domain_l3_table, page_size);
    OwnPtr<ArchDomain>(std::exchange(d.arch, nullptr)).reset();
}

namespace pv {

void install_hypervisor_slots(Domain& domain, u64* l4) {
    std::copy_n(hypervisor_l4 + layout::first_slot, layout::end_slot - layout::first_slot, l4 + layout::first_slot);
    l4[layout::per_domain_slot] = domain.arch->per_domain_l3 | pte::present | pte::writable | pte::accessed;
}

}  // namespace pv
}  // namespace xylem
