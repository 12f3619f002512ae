// SPDX-License-Identifier: MIT
#include "guest/lib/grants.hpp"

#include <atomic>

#include "guest/kit/calls.hpp"
#include "guest/kit/cpu.hpp"
#include "guest/kit/paging.hpp"

namespace xylem::grants {
namespace {

constexpr u32 entries_per_frame = page_size / sizeof(grant_entry_v1_t);
constexpr u32 max_frames = 32;
grant_entry_v1_t* entries;
u32 count;
u32 next = first_free_ref;

}  // namespace

Result<> start(u32 frames) {
    if (entries != nullptr) return {};
    static xen_pfn_t list[max_frames];
    if (frames == 0 || frames > max_frames) return fail(XEN_EINVAL);
    gnttab_setup_table_t request{};
    request.dom = DOMID_SELF;
    request.nr_frames = frames;
    set_xen_guest_handle_raw(request.frame_list, list);
    if (const long r = kit::grant_table_op(GNTTABOP_setup_table, &request, 1); r < 0) return fail(static_cast<Errno>(-r));
    if (request.status != GNTST_okay) return fail(XEN_ENOSPC);
    const u64 va = kit::reserve_window(frames);
    for (u32 i = 0; i < frames; ++i)
        TRY(kit::map(va + i * page_size, kit::pte::make(Mfn(list[i]), kit::pte::data | kit::pte::machine)));
    entries = reinterpret_cast<grant_entry_v1_t*>(va);
    count = frames * entries_per_frame;
    return {};
}

grant_entry_v1_t* table() {
    return entries;
}
u32 entry_count() {
    return count;
}

Result<Ref> lend(DomId to, Mfn frame, Access access) {
    const kit::EventsMasked guard;
    for (u32 tries = first_free_ref; tries < count; ++tries) {
        const Ref ref = next;
        next = next + 1 < count ? next + 1 : first_free_ref;
        if (entries[ref].flags != 0) continue;
        entries[ref].domid = to.raw;
        entries[ref].frame = static_cast<u32>(frame.raw);
        // The flags make the entry valid: last.
        std::atomic_ref<u16>(entries[ref].flags)
            .store(static_cast<u16>(GTF_permit_access | static_cast<u16>(access)), std::memory_order_release);
        return ref;
    }
    return fail(XEN_ENOSPC);
}

bool end(Ref ref) {
    const std::atomic_ref<u16> flags(entries[ref].flags);
    u16 seen = flags.load();
    do {
        if ((seen & (GTF_reading | GTF_writing)) != 0) return false;
    } while (!flags.compare_exchange_weak(seen, 0));
    return true;
}

std::expected<Mapping, Status> borrow(DomId from, Ref ref, u64 va, u32 flags) {
    gnttab_map_grant_ref_t request{};
    request.host_addr = va;
    request.flags = flags;
    request.ref = ref;
    request.dom = from.raw;
    if (kit::grant_table_op(GNTTABOP_map_grant_ref, &request, 1) != 0) return std::unexpected(Status{GNTST_general_error});
    if (request.status != GNTST_okay) return std::unexpected(Status{request.status});
    return Mapping{va, request.handle, Maddr(request.dev_bus_addr)};
}

i16 give_back(const Mapping& mapping) {
    gnttab_unmap_grant_ref_t request{};
    request.host_addr = mapping.va;
    request.handle = mapping.handle;
    if (kit::grant_table_op(GNTTABOP_unmap_grant_ref, &request, 1) != 0) return GNTST_general_error;
    return request.status;
}

}  // namespace xylem::grants
