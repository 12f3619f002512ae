// SPDX-License-Identifier: MIT
// Granted frames in a PV guest's page tables (core/port/guest_map.hpp), and what memory_op tells of the machine.
#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/mm/tlb.hpp"
#include "arch/x86/pv/mmu.hpp"
#include "arch/x86/pv/roots.hpp"
#include "arch/x86/pv/vcpu_masks.hpp"
#include "core/port/guest_map.hpp"

namespace xylem::port {
namespace {

using namespace pv;

struct Slot {
    TableUse use;
    u64* entry = nullptr;
};

Result<Slot> find_slot(Vcpu& v, u64 host_addr, bool contains_pte) {
    PageInfo* table = nullptr;
    Slot s;
    if (contains_pte) {
        if ((host_addr & 7) != 0) return fail(XEN_EFAULT);
        table = find_page(mfn_of(Maddr(host_addr)));
        s.entry = static_cast<u64*>(layout::direct_map(Maddr(host_addr)));
    } else {
        const L1Slot found = find_l1(v.arch->loaded_root, host_addr);
        table = found.table;
        s.entry = found.entry;
    }
    if (table == nullptr) return fail(XEN_EFAULT);
    s.use = TableUse::take(*table, v.domain.id);
    if (!s.use || s.use.level() != 1) return fail(XEN_EFAULT);
    return s;
}

// Swaps the entry for `entry` if it maps `expected` with just that right.
Result<> swap_expected(u64* slot, Mfn expected, bool readonly, u64 entry) {
    u64 old = __atomic_load_n(slot, __ATOMIC_RELAXED);
    do {
        if (!is_present(old) || frame_of(old) != expected || ((old & bits::writable) == 0) != readonly) return fail(XEN_EINVAL);
    } while (!__atomic_compare_exchange_n(slot, &old, entry, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return {};
}

}  // namespace

Result<> map_grant_at(Vcpu& v, u64 host_addr, bool contains_pte, Mfn mfn, MapFlags flags) {
    const Slot s = TRY(find_slot(v, host_addr, contains_pte));
    u64 entry =
        maddr_of(mfn).raw | bits::present | bits::user | bits::accessed | (u64{flags.avail_bits & 7} << 9) | bits::no_execute;
    if (!flags.readonly) entry |= bits::writable | bits::dirty;
    release_l1(__atomic_exchange_n(s.entry, entry, __ATOMIC_ACQ_REL));
    return {};
}

Result<> unmap_grant_at(Vcpu& v, u64 host_addr, Mfn expected, bool contains_pte, bool readonly) {
    const Slot s = TRY(find_slot(v, host_addr, contains_pte));
    return swap_expected(s.entry, expected, readonly, 0);
}

Result<> replace_grant_at(Vcpu& v, u64 host_addr, u64 new_addr, Mfn expected, bool readonly) {
    const Slot to = TRY(find_slot(v, host_addr, false));
    const Slot from = TRY(find_slot(v, new_addr, false));
    const u64 moved = __atomic_exchange_n(from.entry, u64{0}, __ATOMIC_ACQ_REL);
    if (Result<> r = swap_expected(to.entry, expected, readonly, moved); !r) {
        release_l1(__atomic_exchange_n(from.entry, moved, __ATOMIC_ACQ_REL));
        return r;
    }
    return {};
}

void flush_domain_tlbs(Domain& d) {
    flush_tlb_on(cpus_of_domain(d));
}

// Without an IOMMU devices reach every frame.
Result<> allow_device_access(Domain&, Mfn, bool) {
    return {};
}
void revoke_device_access(Domain&, Mfn, bool) {}

}  // namespace xylem::port
