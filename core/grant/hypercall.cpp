// SPDX-License-Identifier: MIT
// Hypercall 20: which operation.
#include "core/grant/operations.hpp"

namespace xylem::grant {
namespace {

Result<> dispatch(Vcpu& vcpu, u32 command, u64 argument, u32 count) {
    switch (command) {
        case GNTTABOP_map_grant_ref: return map_grant_refs(vcpu, argument, count);
        case GNTTABOP_unmap_grant_ref: return unmap_grant_refs(vcpu, argument, count);
        case GNTTABOP_setup_table: return setup_table(vcpu, argument, count);
        case GNTTABOP_transfer: return transfer_pages(vcpu, argument, count);
        case GNTTABOP_copy: return copy_grants(vcpu, argument, count);
        case GNTTABOP_query_size: return query_size(vcpu, argument, count);
        case GNTTABOP_unmap_and_replace: return unmap_and_replace(vcpu, argument, count);
        case GNTTABOP_set_version: return set_version(vcpu, argument);
        case GNTTABOP_get_status_frames: return get_status_frames(vcpu, argument, count);
        case GNTTABOP_get_version: return get_version(vcpu, argument);
        case GNTTABOP_swap_grant_ref: return swap_grant_refs(vcpu, argument, count);
        // Caches are coherent here; only ARM guests need it.
        case GNTTABOP_cache_flush: return fail(XEN_EOPNOTSUPP);
        default: return fail(XEN_ENOSYS);  // dump_table too, as on real Xen
    }
}

}  // namespace

long grant_table_op(Vcpu& vcpu, u64 command, u64 argument, u64 count) {
    // Both are 32 bits wide in the ABI; what stands above does not count.
    const u32 operations = static_cast<u32>(count);
    if (operations > INT32_MAX) return to_hypercall_result(XEN_EINVAL);
    if (vcpu.domain.grants == nullptr) return to_hypercall_result(XEN_ENOSYS);
    const auto done = dispatch(vcpu, static_cast<u32>(command), argument, operations);
    return done ? 0 : to_hypercall_result(done.error());
}

}  // namespace xylem::grant
