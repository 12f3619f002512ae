// SPDX-License-Identifier: MIT
#include <algorithm>
#include <atomic>

#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/pv/mmu.hpp"
#include "arch/x86/pv/roots.hpp"
#include "arch/x86/pv/vcpu_masks.hpp"
#include "core/port/guest.hpp"
#include "core/port/preempt.hpp"

namespace xylem::pv {

TableUse TableUse::take(PageInfo& page, DomId owner) {
    TableUse use;
    const PageType type = get_ready_use(page, owner, [](PageState s) { return s.is_checked() && is_page_table(s.type()); });
    if (type == PageType::none) return use;
    use.page_ = &page;
    use.level_ = static_cast<unsigned>(type);
    return use;
}

void TableUse::reset() {
    if (page_ != nullptr) put_typed(*std::exchange(page_, nullptr));
}

namespace {

std::atomic_ref<u64> atomic_entry(u64* slot) {
    return std::atomic_ref<u64>(*slot);
}

// Same frame, same rights: nothing to count. The user bit is always set, so it takes no part.
bool is_harmless_change(unsigned level, u64 old, u64 now) {
    if (!is_present(old) || !is_present(now)) return false;
    const u64 harmless = level == 1
                             ? harmless_l1_bits
                             : (bits::accessed | bits::dirty | bits::available | bits::no_execute | bits::user | bits::writable);
    return ((old ^ now) & ~harmless) == 0;
}

}  // namespace

Result<> replace_entry(Domain& mapper, DomId owner, unsigned level, u64* slot, u64 entry, AccessedDirty ad) {
    auto e = atomic_entry(slot);
    constexpr u64 kept = bits::accessed | bits::dirty;
    u64 old = e.load(std::memory_order_relaxed);
    while (is_harmless_change(level, old, entry)) {
        const u64 complete = (entry | bits::user) & ~bits::global;
        if (e.compare_exchange_weak(old, ad == AccessedDirty::preserve ? complete | (old & kept) : complete)) return {};
    }
    if (Result<> r = acquire_entry(mapper, owner, level, entry); !r) return r;
    if (ad == AccessedDirty::preserve) {
        u64 wanted = entry;
        do {
            const bool same_frame = ((old ^ entry) & bits::frame) == 0 && is_present(old) && is_present(entry);
            wanted = same_frame ? entry | (old & kept) : entry;
        } while (!e.compare_exchange_weak(old, wanted));
    } else {
        old = e.exchange(entry);
    }
    release_entry(level, old);
    return {};
}

Result<bool> replace_l1_if(Domain& mapper, u64* slot, u64& expected, u64 entry) {
    auto e = atomic_entry(slot);
    if (Result<> r = acquire_l1(mapper, mapper.id, entry); !r) return fail(r.error());
    if (!e.compare_exchange_strong(expected, entry)) {
        release_l1(entry);
        return false;
    }
    release_l1(expected);
    return true;
}

namespace {

struct Batch {
    Domain& caller;
    DomainRef table_owner;  // whose page tables change; empty = the caller's
    DomainRef frame_owner;  // who owns the frames mapped; empty = the caller
    TableUse table;         // of the last entry: neighbours are common

    Domain& tables_of() { return table_owner ? *table_owner : caller; }
    DomId frames_of() { return foreign_id; }
    DomId foreign_id{};
};

// The frame number in a new entry, for domains that count differently.
Result<u64> translated(Batch& b, u64 entry, bool is_machine_frame) {
    if (is_machine_frame || !b.frame_owner || !is_present(entry)) return entry;
    const Mfn mfn = port::gfn_to_mfn(*b.frame_owner, Gfn(frame_of(entry).raw));
    if (mfn == invalid_mfn) return fail(XEN_EINVAL);
    return (entry & ~bits::frame) | maddr_of(mfn).raw;
}

Result<> update_table(Batch& b, Maddr at, u64 value, AccessedDirty ad, bool is_machine_frame) {
    PageInfo* page = find_page(mfn_of(at));
    if (page == nullptr) return fail(XEN_EINVAL);
    Domain& tables = b.tables_of();
    if (b.table.page() != page) {
        b.table = TableUse::take(*page, tables.id);
        if (!b.table) {
            // Not a page table: then it must be plain memory of the domain, and the update is a plain store.
            if (!get_writable(*page, tables.id)) return fail(XEN_EINVAL);
            atomic_entry(static_cast<u64*>(layout::direct_map(at))).store(value, std::memory_order_relaxed);
            put_writable(*page);
            return {};
        }
    }
    const unsigned level = b.table.level();
    const unsigned index = static_cast<unsigned>(at.raw & page_mask) / 8;
    if (level == 4 && is_hypervisor_slot(index)) return fail(XEN_EINVAL);
    const u64 entry = TRY(translated(b, value, is_machine_frame));
    return replace_entry(tables, level == 1 ? b.frames_of() : tables.id, level, static_cast<u64*>(layout::direct_map(at)), entry,
                         ad);
}

Result<> set_machine_to_physical(Batch& b, Maddr at, u64 pfn) {
    PageInfo* page = find_page(mfn_of(at));
    if (page == nullptr || !get_reference(*page, b.frames_of())) return fail(XEN_EINVAL);
    port::set_m2p(mfn_of(at), pfn);
    put_reference(*page);
    return {};
}

Result<> apply(Batch& b, const mmu_update& u) {
    const Maddr at(u.ptr & ~u64{7});
    switch (u.ptr & 7) {
        case MMU_NORMAL_PT_UPDATE: return update_table(b, at, u.val, AccessedDirty::as_given, false);
        case MMU_PT_UPDATE_PRESERVE_AD: return update_table(b, at, u.val, AccessedDirty::preserve, false);
        case MMU_PT_UPDATE_NO_TRANSLATE: return update_table(b, at, u.val, AccessedDirty::as_given, true);
        case MMU_MACHPHYS_UPDATE: return set_machine_to_physical(b, Maddr(u.ptr & ~page_mask), u.val);
        default: return fail(XEN_ENOSYS);
    }
}

// Whose tables and whose frames, where it is not all the caller's own.
Result<> open_foreign(Batch& b, u64 foreign) {
    const DomId frames_dom(static_cast<u16>(foreign));
    const u16 tables_raw = static_cast<u16>(foreign >> 16);
    if (tables_raw != 0) {
        const DomId tables_dom(static_cast<u16>(tables_raw - 1));
        if (tables_dom != domid_self && tables_dom != b.caller.id) b.table_owner = TRY(find_domain_for(b.caller, tables_dom));
    }
    if (frames_dom == domid_self) return {};
    if (frames_dom == b.caller.id) return fail(XEN_ESRCH);  // nobody is foreign to himself
    if (frames_dom == domid_io || frames_dom == domid_xen) {
        if (!b.caller.is_control_domain) return fail(XEN_EPERM);
    } else {
        b.frame_owner = TRY(find_domain_for(b.caller, frames_dom));
    }
    b.foreign_id = frames_dom;
    return {};
}

}  // namespace

long hypercall_mmu_update(u64 requests, u64 count, u64 done_va, u64 foreign, u64, u64) {
    Domain& caller = current_arch().vcpu->domain;
    Batch batch{caller, {}, {}, {}, caller.id};
    if (foreign != DOMID_SELF) {
        if (Result<> r = open_foreign(batch, foreign); !r) return to_hypercall_result(r.error());
    }
    const GuestPtr<mmu_update> list(requests);
    u32 done = 0;
    long result = 0;
    const u32 total = static_cast<u32>(count);
    while (done < total) {
        const Result<mmu_update> u = list.element(done).read();
        const Result<> r = u ? apply(batch, *u) : fail(u.error());
        if (!r) {
            result = to_hypercall_result(r.error());
            break;
        }
        if ((++done & 63) == 0) {
            batch.table.reset();
            if (!port::preemption_point()) break;
        }
    }
    if (done_va != 0 && !GuestPtr<u32>(done_va).write(done)) return -static_cast<long>(XEN_EFAULT);
    return result;
}

namespace {

long update_va(u64 va, u64 entry, u64 flags, DomId frames_of) {
    ArchVcpu& v = current_arch();
    Domain& d = v.vcpu->domain;
    const L1Slot slot = find_l1(v.loaded_root, va);
    if (slot.table == nullptr) return -static_cast<long>(XEN_EINVAL);
    {
        TableUse use = TableUse::take(*slot.table, d.id);
        if (!use || use.level() != 1) return -static_cast<long>(XEN_EINVAL);
        if (Result<> r = replace_entry(d, frames_of, 1, slot.entry, entry, AccessedDirty::as_given); !r)
            return to_hypercall_result(r.error());
    }
    if ((flags & UVMF_FLUSHTYPE_MASK) == 0) return 0;
    return flush_as_asked(v, flags, va);
}

}  // namespace

long hypercall_update_va_mapping(u64 va, u64 entry, u64 flags, u64, u64, u64) {
    return update_va(va, entry, flags, current_arch().vcpu->domain.id);
}

long hypercall_update_va_mapping_otherdomain(u64 va, u64 entry, u64 flags, u64 domain, u64, u64) {
    Domain& caller = current_arch().vcpu->domain;
    const DomId id(static_cast<u16>(domain));
    if (id == domid_io && caller.is_control_domain) return update_va(va, entry, flags, id);
    Result<DomainRef> other = find_domain_for(caller, id);
    if (!other) return to_hypercall_result(other.error());
    return update_va(va, entry, flags, (*other)->id);
}

}  // namespace xylem::pv
