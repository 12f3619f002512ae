// SPDX-License-Identifier: MIT
// Mapping grants, and undoing it. Order of an unmap: page-table entry, TLBs, the mapping's references, and only then the
// granter's marks, which tell it that nobody can reach the page any more (XSA-218).
#include <algorithm>
#include <span>

#include "core/grant/operations.hpp"
#include "core/port/guest_map.hpp"
#include "core/port/preempt.hpp"

namespace xylem::grant {
namespace {

constexpr u64 kinds_of(u8 parts) {
    const bool readonly = (parts & part::readonly) != 0;
    return ((parts & part::host) != 0 ? (readonly ? pin::host_read : pin::host_write) : 0) |
           ((parts & part::device) != 0 ? (readonly ? pin::device_read : pin::device_write) : 0);
}

bool take_page(PageInfo& page, DomId owner, bool readonly) {
    return readonly ? get_reference(page, owner) : get_writable(page, owner);
}
void give_page(PageInfo& page, bool readonly) {
    if (readonly)
        put_reference(page);
    else
        put_writable(page);
}

// Each part owns the page once: the host part through its page-table entry, the device part through the handle.
Status map_parts(Vcpu& vcpu, const gnttab_map_grant_ref& op, Domain& granter, Mfn mfn, u8& parts) {
    const bool readonly = (parts & part::readonly) != 0;
    PageInfo& page = *find_page(mfn);
    const bool device = (parts & part::device) != 0;
    if (device && !take_page(page, granter.id, readonly)) return GNTST_general_error;

    Status status = GNTST_okay;
    if (port::allow_device_access(vcpu.domain, mfn, !readonly))
        parts |= part::device_access;
    else
        status = GNTST_no_device_space;

    if (status == GNTST_okay && (parts & part::host) != 0) {
        if (!take_page(page, granter.id, readonly)) {
            status = GNTST_general_error;
        } else {
            const port::MapFlags flags{readonly, (op.flags & GNTMAP_application_map) != 0, op.flags >> _GNTMAP_guest_avail0};
            const auto mapped = port::map_grant_at(vcpu, op.host_addr, (parts & part::contains_pte) != 0, mfn, flags);
            if (!mapped) {
                status = mapped.error() == XEN_EFAULT ? GNTST_bad_virt_addr : GNTST_general_error;
                give_page(page, readonly);
            }
        }
    }
    if (status != GNTST_okay) {
        if ((parts & part::device_access) != 0) port::revoke_device_access(vcpu.domain, mfn, !readonly);
        if (device) give_page(page, readonly);
    }
    return status;
}

Status map_one(Vcpu& vcpu, gnttab_map_grant_ref& op, DomainCache& domains) {
    u8 parts = 0;
    if ((op.flags & GNTMAP_host_map) != 0) parts |= part::host;
    if ((op.flags & GNTMAP_device_map) != 0) parts |= part::device;
    if (parts == 0) return GNTST_bad_gntref;
    if ((op.flags & GNTMAP_readonly) != 0) parts |= part::readonly;
    if ((op.flags & GNTMAP_contains_pte) != 0) parts |= part::contains_pte;

    Domain* granter = DomId(op.dom) == domid_self ? nullptr : domains.find(DomId(op.dom));  // not by that name
    if (granter == nullptr || granter->life.load(std::memory_order_relaxed) != Life::alive) return GNTST_bad_domain;
    Maptrack& handles = vcpu.domain.grants->maptrack();
    const auto handle = handles.reserve(*granter, op.ref);
    if (!handle) return GNTST_no_space;

    Grant grant;
    const u64 kinds = kinds_of(parts);
    Status status = granter->grants->begin_use(op.ref, vcpu.domain.id, kinds, Use::map, grant);
    if (status == GNTST_okay) {
        status = map_parts(vcpu, op, *granter, grant.mfn, parts);
        if (status != GNTST_okay) granter->grants->end_use(op.ref, kinds);
    }
    if (status != GNTST_okay) {
        handles.cancel(*handle);
        return status;
    }
    handles.publish(*handle, parts);
    op.handle = *handle;
    op.dev_bus_addr = maddr_of(grant.mfn).raw;
    return GNTST_okay;
}

// A mapping on its way out: claimed from its handle, unmapped, not yet flushed.
struct Undo {
    Mapping mapping;
    Handle handle = 0;
    Mfn mfn = invalid_mfn;
};

// Who owns the pages of cleared host parts: unmapping handed them to us, or the entries still do.
enum class HostPages : u8 { came_back, stay_with_entries };

struct UndoBatch {
    Undo undos[batch_size];
    u32 count = 0;

    void flush(Domain& mapper, HostPages pages = HostPages::came_back);
};

// The handle's parts that the operation names, claimed, and its page-table entry cleared by `unmap(mapping, mfn)`.
template <class Unmap>
Status undo_one(Vcpu& vcpu, Handle handle, u8 wanted, u64 dev_bus_addr, UndoBatch& batch, Unmap unmap) {
    Maptrack& handles = vcpu.domain.grants->maptrack();
    const Mapping m = handles.claim(handle, wanted);
    if (m.granter == nullptr) return GNTST_bad_handle;
    if ((m.parts & part::mappings) == 0) return GNTST_okay;
    const Mfn mfn = m.granter->grants->frame_in_use(m.ref);
    if ((m.parts & part::device) != 0 && dev_bus_addr != maddr_of(mfn).raw) {
        handles.restore(handle, m.parts);
        return GNTST_bad_dev_addr;
    }
    if ((m.parts & part::host) != 0 && !unmap(m, mfn)) {
        handles.restore(handle, m.parts);
        return GNTST_general_error;
    }
    if ((m.parts & part::device_access) != 0) port::revoke_device_access(vcpu.domain, mfn, (m.parts & part::readonly) == 0);
    batch.undos[batch.count++] = {m, handle, mfn};
    return GNTST_okay;
}

void UndoBatch::flush(Domain& mapper, HostPages pages) {
    if (count == 0) return;
    port::flush_domain_tlbs(mapper);
    for (const Undo& u : std::span(undos, count)) {
        const bool readonly = (u.mapping.parts & part::readonly) != 0;
        PageInfo& page = *find_page(u.mfn);
        if ((u.mapping.parts & part::host) != 0 && pages == HostPages::came_back) give_page(page, readonly);
        if ((u.mapping.parts & part::device) != 0) give_page(page, readonly);
        u.mapping.granter->grants->end_use(u.mapping.ref, kinds_of(u.mapping.parts));
        mapper.grants->maptrack().finish(u.handle);
    }
    count = 0;
}

}  // namespace

Result<> map_grant_refs(Vcpu& vcpu, u64 argument, u32 count) {
    DomainCache domains;
    return in_batches<gnttab_map_grant_ref>(
        argument, count, [&](gnttab_map_grant_ref& op) { return map_one(vcpu, op, domains); }, [] {});
}

Result<> unmap_grant_refs(Vcpu& vcpu, u64 argument, u32 count) {
    UndoBatch batch;
    return in_batches<gnttab_unmap_grant_ref>(
        argument, count,
        [&](gnttab_unmap_grant_ref& op) {
            const u8 wanted = static_cast<u8>((op.host_addr != 0 ? part::host : 0) | (op.dev_bus_addr != 0 ? part::device : 0));
            return undo_one(vcpu, op.handle, wanted, op.dev_bus_addr, batch, [&](const Mapping& m, Mfn mfn) {
                return port::unmap_grant_at(vcpu, op.host_addr, mfn, (m.parts & part::contains_pte) != 0,
                                            (m.parts & part::readonly) != 0)
                    .has_value();
            });
        },
        [&] { batch.flush(vcpu.domain); });
}

Result<> unmap_and_replace(Vcpu& vcpu, u64 argument, u32 count) {
    UndoBatch batch;
    return in_batches<gnttab_unmap_and_replace>(
        argument, count,
        [&](gnttab_unmap_and_replace& op) {
            const u8 wanted = op.host_addr != 0 ? part::host : u8{0};
            return undo_one(vcpu, op.handle, wanted, 0, batch, [&](const Mapping& m, Mfn mfn) {
                const bool pte = (m.parts & part::contains_pte) != 0;
                const bool readonly = (m.parts & part::readonly) != 0;
                if (op.new_addr == 0) return port::unmap_grant_at(vcpu, op.host_addr, mfn, pte, readonly).has_value();
                // Replacing needs two linear addresses.
                return !pte && port::replace_grant_at(vcpu, op.host_addr, op.new_addr, mfn, readonly).has_value();
            });
        },
        [&] { batch.flush(vcpu.domain); });
}

// The page-table entries of the dead domain own their pages and give them back with the page tables: the host parts only end
// their uses here.
void release_all_mappings(Domain& domain) {
    if (domain.grants == nullptr) return;
    domain.grants->close();
    Maptrack& handles = domain.grants->maptrack();
    if (handles.live() == 0) return;
    const u32 limit = handles.limit();
    UndoBatch batch;
    for (Handle handle = 0; handle < limit; ++handle) {
        const Mapping m = handles.claim(handle, part::mappings);
        if (m.granter != nullptr && (m.parts & part::mappings) != 0) {
            const Mfn mfn = m.granter->grants->frame_in_use(m.ref);
            if ((m.parts & part::device_access) != 0) port::revoke_device_access(domain, mfn, (m.parts & part::readonly) == 0);
            batch.undos[batch.count++] = {m, handle, mfn};
        }
        if (batch.count < batch_size && handle + 1 < limit) continue;
        batch.flush(domain, HostPages::stay_with_entries);
        port::preemption_point();
    }
}

}  // namespace xylem::grant
