// SPDX-License-Identifier: MIT
// Hypercall 12: which operation, and the short ones.
#include "core/mem/memory_op.hpp"

#include <algorithm>

#include "core/domain/domain.hpp"
#include "core/grant/table.hpp"
#include "core/port/guest.hpp"

namespace xylem {
namespace memory {

// By the caller, not by the domain it acts on: the tools build guests from large extents.
unsigned max_extent_order(const Domain& caller) {
    return caller.is_control_domain || caller.is_hardware_domain ? 12 : 9;
}

namespace {

// Room for the machine-to-physical table in guests' address space, whatever part of it exists [ABI.md 1.5].
constexpr u64 m2p_range = 256 * gib;

Result<DomainRef> named_domain(Vcpu& vcpu, u64 argument) {
    const auto op = TRY(GuestPtr<xen_memory_domain>(argument).read());
    return find_domain_for(vcpu.domain, DomId(op.domid));
}

// Refuses an operation on a domain, once there is one.
template <class Op>
Result<long> not_for_pv(Vcpu& vcpu, u64 argument, Errno why) {
    const auto op = TRY(GuestPtr<Op>(argument).read());
    TRY(find_domain_for(vcpu.domain, DomId(op.domid)));
    return fail(why);
}

Result<long> current_reservation(Vcpu& vcpu, u64 argument) {
    const DomainRef d = TRY(named_domain(vcpu, argument));
    return static_cast<long>(d->total_pages.load(std::memory_order_relaxed));
}

// "No limit" is all ones in 32 bits: kernels take it for a negative number and ignore it [ABI.md 7.3].
Result<long> maximum_reservation(Vcpu& vcpu, u64 argument) {
    const DomainRef d = TRY(named_domain(vcpu, argument));
    return static_cast<long>(std::min(d->max_pages.load(std::memory_order_relaxed), u64{UINT32_MAX}));
}

Result<long> maximum_gpfn(Vcpu& vcpu, u64 argument) {
    const DomainRef d = TRY(named_domain(vcpu, argument));
    return static_cast<long>(port::maximum_guest_frame(*d) & INT64_MAX);
}

Result<long> machphys_mapping(u64 argument) {
    xen_machphys_mapping m{};
    m.v_start = layout::m2p_guest_start;
    m.v_end = layout::m2p_guest_start + m2p_range;
    m.max_mfn = layout::frame_count() - 1;
    TRY(GuestPtr<xen_machphys_mapping>(argument).write(m));
    return 0;
}

Result<long> machphys_mfn_list(u64 argument) {
    const GuestPtr<xen_machphys_mfn_list> at(argument);
    const auto op = TRY(at.read());
    const u32 count = static_cast<u32>(std::min<u64>(op.max_extents, port::m2p_extents()));
    const GuestPtr<u64> list(op.extent_start);
    u64 chunk[64];
    for (u32 done = 0; done < count;) {
        const u32 n = std::min<u32>(count - done, std::size(chunk));
        for (u32 i = 0; i < n; ++i) chunk[i] = port::m2p_extent(done + i).raw;
        TRY(list.element(done).write_many(chunk, n));
        done += n;
    }
    TRY(field(at, &xen_machphys_mfn_list::nr_extents).write(count));
    return 0;
}

// No region of this machine is kept for a device by the firmware, as far as guests need to know.
Result<long> reserved_device_memory_map(u64 argument) {
    const GuestPtr<xen_reserved_device_memory_map> at(argument);
    const auto op = TRY(at.read());
    if ((op.flags & ~u32{XENMEM_RDM_ALL}) != 0) return fail(XEN_EINVAL);
    TRY(field(at, &xen_reserved_device_memory_map::nr_entries).write(0));
    return 0;
}

Result<long> dispatch(Vcpu& vcpu, u32 command, u64 argument) {
    switch (command) {
        case XENMEM_increase_reservation: return increase_reservation(vcpu, argument);
        case XENMEM_decrease_reservation: return decrease_reservation(vcpu, argument);
        case XENMEM_populate_physmap: return populate_physmap(vcpu, argument);
        case XENMEM_exchange: return exchange(vcpu, argument);
        case XENMEM_claim_pages: return claim_pages(vcpu, argument);
        case XENMEM_current_reservation: return current_reservation(vcpu, argument);
        case XENMEM_maximum_reservation: return maximum_reservation(vcpu, argument);
        case XENMEM_maximum_ram_page: return static_cast<long>(layout::frame_count());  // one more than the name says
        case XENMEM_maximum_gpfn: return maximum_gpfn(vcpu, argument);
        case XENMEM_machphys_mapping: return machphys_mapping(argument);
        case XENMEM_machphys_mfn_list: return machphys_mfn_list(argument);
        case XENMEM_memory_map: return memory_map(vcpu, argument);
        case XENMEM_set_memory_map: return set_memory_map(vcpu, argument);
        case XENMEM_machine_memory_map: return machine_memory_map(vcpu, argument);
        case XENMEM_acquire_resource: return acquire_resource(vcpu, argument);
        case XENMEM_reserved_device_memory_map: return reserved_device_memory_map(argument);
        case XENMEM_get_sharing_freed_pages:
        case XENMEM_get_sharing_shared_pages: return 0;
        // Exactly this number means "no virtual NUMA" to the tools.
        case XENMEM_get_vnumainfo: return fail(XEN_EOPNOTSUPP);
        // Other guests have a physical memory that is not the machine's; PV guests do not.
        case XENMEM_add_to_physmap: return not_for_pv<xen_add_to_physmap>(vcpu, argument, XEN_EACCES);
        case XENMEM_add_to_physmap_batch: return not_for_pv<xen_add_to_physmap_batch>(vcpu, argument, XEN_EACCES);
        case XENMEM_remove_from_physmap: return not_for_pv<xen_remove_from_physmap>(vcpu, argument, XEN_EACCES);
        case XENMEM_set_pod_target:
        case XENMEM_get_pod_target: return not_for_pv<xen_pod_target>(vcpu, argument, XEN_EINVAL);
        case XENMEM_machphys_compat_mfn_list: return fail(XEN_EOPNOTSUPP);  // no 32-bit guests
        default: return fail(XEN_ENOSYS);
    }
}

}  // namespace

Result<long> acquire_resource(Vcpu& vcpu, u64 argument) {
    const GuestPtr<xen_mem_acquire_resource> at(argument);
    const auto op = TRY(at.read());
    if (op.pad != 0) return fail(XEN_EINVAL);
    // Tools act on another domain; one's own resources are reached by their own hypercalls.
    if (DomId(op.domid) == domid_self || DomId(op.domid) == vcpu.domain.id) return fail(XEN_EPERM);
    const DomainRef d = TRY(find_domain_for(vcpu.domain, DomId(op.domid)));
    if (op.type == XENMEM_resource_vmtrace_buf) return fail(XEN_EINVAL);  // its size is nothing
    if (op.type != XENMEM_resource_grant_table) return fail(XEN_EOPNOTSUPP);
    const u32 size = TRY(grant::resource_size(*d, op.id));
    const GuestPtr<u64> list(op.frame_list);
    if (list.is_null()) {
        if (op.nr_frames != 0) return fail(XEN_EINVAL);
        TRY(field(at, &xen_mem_acquire_resource::nr_frames).write(size));
        return 0;
    }
    if (!range_fits(op.frame, op.nr_frames, size)) return fail(XEN_EINVAL);
    u64 frames[64];
    for (u32 done = 0; done < op.nr_frames;) {
        const u32 n = std::min<u32>(op.nr_frames - done, std::size(frames));
        TRY(grant::resource_frames(*d, op.id, op.frame + done, std::span(frames, n)));
        TRY(list.element(done).write_many(frames, n));
        done += n;
    }
    return 0;
}

}  // namespace memory

long memory_op(Vcpu& vcpu, u64 command, u64 argument) {
    const auto answer = memory::dispatch(vcpu, static_cast<u32>(command), argument);
    return answer ? *answer : to_hypercall_result(answer.error());
}

}  // namespace xylem
