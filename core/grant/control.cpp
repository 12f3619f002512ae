// SPDX-License-Identifier: MIT
// Questions about a table and settings of it. Where the structure has a status field the answer goes there, else it is the
// hypercall's.
#include <algorithm>

#include "base/log.hpp"
#include "core/grant/operations.hpp"

namespace xylem::grant {
namespace {

// The domain an operation is about: the caller itself, or another for a control domain.
Status find_subject(Vcpu& vcpu, domid_t id, DomainRef& out) {
    auto found = find_domain_for(vcpu.domain, DomId(id));
    if (!found) return found.error() == XEN_EPERM ? GNTST_permission_denied : GNTST_bad_domain;
    if ((*found)->grants == nullptr) return GNTST_bad_domain;
    out = std::move(*found);
    return GNTST_okay;
}

// Frame numbers first .. count - 1 to the guest's array.
Status write_frames(Table& table, GuestPtr<u64> to, u32 count, bool status) {
    u64 frames[64];
    for (u32 done = 0; done < count;) {
        const u32 n = std::min<u32>(count - done, std::size(frames));
        if (!table.list_frames(done, std::span(frames, n), status)) return GNTST_general_error;
        if (!to.element(done).write_many(frames, n)) return GNTST_bad_virt_addr;
        done += n;
    }
    return GNTST_okay;
}

// Reads the one operation, runs it, writes its status back.
template <class Op, class Run>
Result<> single(u64 argument, u32 count, Run run) {
    if (count != 1) return fail(XEN_EINVAL);
    const GuestPtr<Op> at(argument);
    Op op = TRY(at.read());
    op.status = static_cast<i16>(run(op));
    return at.write(op);
}

}  // namespace

Result<> setup_table(Vcpu& vcpu, u64 argument, u32 count) {
    return single<gnttab_setup_table>(argument, count, [&](gnttab_setup_table& op) -> Status {
        DomainRef domain;
        if (Status bad = find_subject(vcpu, op.dom, domain)) return bad;
        if (!domain->grants->grow(op.nr_frames)) return GNTST_general_error;
        return write_frames(*domain->grants, GuestPtr<u64>(op.frame_list), op.nr_frames, false);
    });
}

Result<> get_status_frames(Vcpu& vcpu, u64 argument, u32 count) {
    return single<gnttab_get_status_frames>(argument, count, [&](gnttab_get_status_frames& op) -> Status {
        DomainRef domain;
        if (Status bad = find_subject(vcpu, op.dom, domain)) return bad;
        return write_frames(*domain->grants, GuestPtr<u64>(op.frame_list), op.nr_frames, true);
    });
}

Result<> query_size(Vcpu& vcpu, u64 argument, u32 count) {
    return single<gnttab_query_size>(argument, count, [&](gnttab_query_size& op) -> Status {
        DomainRef domain;
        if (Status bad = find_subject(vcpu, op.dom, domain)) return bad;
        op.nr_frames = domain->grants->frames();
        op.max_nr_frames = domain->grants->limits().max_frames;
        return GNTST_okay;
    });
}

// Tells the version in force, whether it changed or not.
Result<> set_version(Vcpu& vcpu, u64 argument) {
    const GuestPtr<gnttab_set_version> at(argument);
    gnttab_set_version op = TRY(at.read());
    const auto changed = vcpu.domain.grants->set_version(op.version);
    op.version = vcpu.domain.grants->version();
    TRY(at.write(op));
    return changed;
}

Result<> get_version(Vcpu& vcpu, u64 argument) {
    const GuestPtr<gnttab_get_version> at(argument);
    const gnttab_get_version op = TRY(at.read());
    DomainRef domain = TRY(find_domain_for(vcpu.domain, DomId(op.dom)));
    if (domain->grants == nullptr) return fail(XEN_ESRCH);
    return field(at, &gnttab_get_version::version).write(domain->grants->version());
}

// --- debug key 'g'
// ---------------------------------------------------------------------------------------------------------------

void Table::dump_entry(u32 ref) {
    Active a;
    u32 header = 0;
    {
        Guard guard(lock_);
        if (ref >= entries()) return;
        a = active(ref);
        if (a.pins != 0) header = load_header(shared(ref).header).word;
    }
    if (a.pins == 0) return;
    const auto count = [&](u64 kind) { return a.pins / kind & pin::field; };
    log::info("  ref {}: frame {:#x} for d{}, host {} read {} write, device {} read {} write, shared {:08x}", ref, a.frame,
              a.user, count(pin::host_read), count(pin::host_write), count(pin::device_read), count(pin::device_write), header);
}

void Table::dump() {
    u32 count = 0;
    u32 in_use = 0;
    {
        Guard guard(lock_);
        count = entries();
        in_use = in_use_;
    }
    log::info("d{} grants: version {}, {} of {} frames, {} entries in use, {} mappings of others' grants", owner_.id, version(),
              frames(), limits_.max_frames, in_use, maptrack_.live());
    for (u32 ref = 0; ref < count && in_use != 0; ++ref) {
        dump_entry(ref);
        if (ref % 512 == 511) port::preemption_point();
    }
}

void dump_table(Domain& domain) {
    if (domain.grants != nullptr) domain.grants->dump();
}

}  // namespace xylem::grant
