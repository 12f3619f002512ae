// SPDX-License-Identifier: MIT
// Giving a page away to a domain that offered an entry for it, and exchanging two entries.
#include "core/grant/operations.hpp"
#include "core/port/machine.hpp"

namespace xylem::grant {
namespace {

// The page is without owner: ours to pass on.
Status hand_over(Domain& from, Domain* to, u32 ref, PageInfo& page) {
    if (to == nullptr || to->life.load(std::memory_order_relaxed) != Life::alive) return GNTST_bad_domain;
    Table& table = *to->grants;
    const Mfn mfn = mfn_of(page);
    if (table.version() == 1 && mfn.raw >> 32 != 0) return GNTST_address_too_big;
    u64 gfn = 0;
    if (table.commit_transfer(ref, from.id, gfn) != GNTST_okay) return GNTST_general_error;
    port::set_m2p(mfn, gfn);  // while the frame is ours: `to` may guess it, and let go of it as soon as it can
    if (!attach_domain_page(*to, page)) {
        table.cancel_transfer(ref);
        return GNTST_general_error;
    }
    table.complete_transfer(ref, mfn);
    return GNTST_okay;
}

// By the ABI the page leaves the caller unless the answer is bad_page.
Status transfer_one(Domain& caller, const gnttab_transfer& op, DomainCache& domains) {
    PageInfo* page = find_page(port::gfn_to_mfn(caller, Gfn(op.mfn)));
    if (page == nullptr || !detach_domain_page(caller, *page)) return GNTST_bad_page;
    const Status status = hand_over(caller, domains.find(DomId(op.domid)), op.ref, *page);
    if (status != GNTST_okay) free_detached_page(*page);
    return status;
}

}  // namespace

Result<> transfer_pages(Vcpu& vcpu, u64 argument, u32 count) {
    DomainCache domains;
    return in_batches<gnttab_transfer>(
        argument, count, [&](gnttab_transfer& op) { return transfer_one(vcpu.domain, op, domains); }, [] {});
}

Result<> swap_grant_refs(Vcpu& vcpu, u64 argument, u32 count) {
    return in_batches<gnttab_swap_grant_ref>(
        argument, count, [&](gnttab_swap_grant_ref& op) { return vcpu.domain.grants->swap(op.ref_a, op.ref_b); }, [] {});
}

}  // namespace xylem::grant
