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

}  // namespace xylem::grant
