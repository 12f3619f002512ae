// SPDX-License-Identifier: MIT
#include "arch/x86/pv/roots.hpp"

#include "arch/x86/mm/hypervisor_tables.hpp"
#include "arch/x86/mm/tlb.hpp"
#include "arch/x86/pv/pte.hpp"

namespace xylem::pv {
namespace {

constexpr unsigned m2p_slot = index_of(layout::m2p_guest_start, 4);

// A table that another vCPU takes apart meanwhile may be anything by now, and its "entries" any number: only RAM may be read.
bool is_memory(Mfn mfn) {
    const PageInfo* page = find_page(mfn);
    return page != nullptr && !page->load().is_device();
}

}  // namespace

Result<> take_root(Domain& d, Mfn mfn) {
    return get_typed(find_page(mfn), d.id, PageType::l4);
}

void put_root(u64 root) {
    if (root != 0) put_typed(*find_page(mfn_of(Maddr(root))));
}

void show_m2p(Mfn root) {
    table_of(root)[m2p_slot] = hypervisor_l4[m2p_slot];
}

KernelView::KernelView(ArchVcpu& v) : v_(v) {
    if (v.kernel_mode == 0) load_root(v, v.kernel_root);
}
KernelView::~KernelView() {
    if (v_.kernel_mode == 0) load_root(v_, v_.user_root);
}

Result<> set_kernel_root(ArchVcpu& v, Mfn mfn) {
    const u64 root = maddr_of(mfn).raw;
    if (root != v.kernel_root) {
        if (Result<> r = take_root(v.vcpu->domain, mfn); !r) return r;
    }
    const u64 old = v.kernel_root;
    show_m2p(mfn);
    v.kernel_root = root;
    load_root(v, root);
    if (old != root) put_root(old);
    return {};
}

Result<> set_user_root(ArchVcpu& v, Mfn mfn) {
    const u64 root = maddr_of(mfn).raw;
    if (root == v.user_root) return {};
    if (root != 0) {
        if (Result<> r = take_root(v.vcpu->domain, mfn); !r) return r;
        table_of(mfn)[m2p_slot] = 0;
    }
    put_root(std::exchange(v.user_root, root));
    return {};
}

void drop_roots(ArchVcpu& v) {
    put_root(std::exchange(v.user_root, 0));
    put_root(std::exchange(v.kernel_root, 0));
}

L1Slot find_l1(u64 root, u64 va) {
    if (!layout::is_canonical(va) || layout::in_hypervisor(va) || root == 0) return {};
    u64 entry = root | bits::present;
    for (unsigned level = 4; level > 1; --level) {
        const Mfn table = frame_of(entry);
        if (!is_memory(table)) [[unlikely]]
            return {};
        entry = table_of(table)[index_of(va, level)];
        if (!is_present(entry) || (entry & bits::large_or_pat) != 0) return {};
    }
    const Mfn l1 = frame_of(entry);
    if (!is_memory(l1)) [[unlikely]]
        return {};
    return {find_page(l1), &table_of(l1)[index_of(va, 1)]};
}

}  // namespace xylem::pv
