// SPDX-License-Identifier: MIT
// The shared table's frames: making, growing, listing, and the change between versions.
#include "core/grant/table.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/panic.hpp"
#include "core/mem/heap.hpp"
#include "core/port/machine.hpp"

namespace xylem::grant {

Result<> Table::create() {
    if (limits_.max_frames == 0 || limits_.max_version == 0 || limits_.max_version > 2) return fail(XEN_EINVAL);
    frames_ = static_cast<Frame*>(heap_allocate(limits_.max_frames * sizeof(Frame)));
    status_ = static_cast<Frame*>(heap_allocate(status_frames_for(limits_.max_frames) * sizeof(Frame)));
    if (frames_ == nullptr || status_ == nullptr) return fail(XEN_ENOMEM);
    maptrack_.limit_to(limits_.max_maptrack_frames);
    return grow(1);
}

Table::~Table() {
    u32 frame_count = 0;
    u32 status_count = 0;
    {
        Guard guard(lock_);
        XYLEM_BUG_ON(in_use_ != 0);
        frame_count = std::exchange(frame_count_, 0u);
        status_count = std::exchange(status_count_, 0u);
    }
    maptrack_.destroy();
    for (u32 i = 0; i < frame_count; ++i) drop_frame(frames_[i]);
    for (u32 i = 0; i < status_count; ++i) drop_frame(status_[i]);
    if (frames_ != nullptr) heap_release(frames_, limits_.max_frames * sizeof(Frame));
    if (status_ != nullptr) heap_release(status_, status_frames_for(limits_.max_frames) * sizeof(Frame));
}

// A zeroed frame that the guest may map; what it held before was another's.
Result<Table::Frame> Table::make_frame(bool with_actives) {
    Frame f;
    if (with_actives) {
        f.actives = static_cast<Active*>(heap_allocate(actives_per_frame * sizeof(Active)));
        if (f.actives == nullptr) return fail(XEN_ENOMEM);
        for (u32 i = 0; i < actives_per_frame; ++i) ::new (f.actives + i) Active;
    }
    auto mfn = allocate_shared_frame(owner_);
    if (!mfn) {
        drop_frame(f);
        return fail(mfn.error());
    }
    f.mfn = *mfn;
    f.address = static_cast<u8*>(port::frame_address(f.mfn));
    std::fill_n(f.address, page_size, u8{0});
    return f;
}

void Table::drop_frame(Frame& f) {
    if (f.actives != nullptr) heap_release(f.actives, actives_per_frame * sizeof(Active));
    if (f.mfn != invalid_mfn) release_shared_frame(f.mfn);
    f = {};
}

// Frames are made outside the lock and installed under it; of two vCPUs that grow at once, one gives its frame back.
Result<> Table::grow_status(u32 count) {
    while (status_frames() < count) {
        Frame fresh = TRY(make_frame(false));
        {
            Guard guard(lock_);
            if (status_count_ < count) {
                status_[status_count_++] = fresh;
                fresh = {};
            }
        }
        drop_frame(fresh);
    }
    return {};
}

Result<> Table::grow(u32 count) {
    if (count > limits_.max_frames) return fail(XEN_EINVAL);
    // Version 2 keeps a status frame for every entry that exists: status first.
    if (version() == 2) TRY(grow_status(status_frames_for(count)));
    while (frames() < count) {
        Frame fresh = TRY(make_frame(true));
        {
            Guard guard(lock_);
            const bool covered = version_ == 1 || status_count_ >= status_frames_for(frame_count_ + 1);
            if (frame_count_ < count && covered) {
                frames_[frame_count_++] = fresh;
                fresh = {};
            }
        }
        drop_frame(fresh);
        if (version() == 2) TRY(grow_status(status_frames_for(count)));  // changed meanwhile
    }
    return {};
}

u32 Table::frames() {
    Guard guard(lock_);
    return frame_count_;
}
u32 Table::status_frames() {
    Guard guard(lock_);
    return status_count_;
}
u32 Table::version() {
    Guard guard(lock_);
    return version_;
}

bool Table::list_frames(u32 first, std::span<u64> out, bool status) {
    Guard guard(lock_);
    const u32 count = status ? (version_ == 2 ? status_frames_for(frame_count_) : 0) : frame_count_;
    if (!range_fits(first, out.size(), count)) return false;
    const Frame* from = (status ? status_ : frames_) + first;
    for (u64& mfn : out) mfn = (from++)->mfn.raw;
    return true;
}

// --- version switch ------------------------------------------------------------------------------------------------------------

// An entry in use whose meaning the other version cannot express holds the switch up.
bool Table::reserved_convertible(u32 version) const {
    for (u32 ref = 0; ref < reserved_entries; ++ref) {
        const Active& a = active(ref);
        if (a.pins == 0) continue;
        if (a.kind != Grant::Kind::page || (version == 1 && a.frame >> 32 != 0)) return false;
    }
    return true;
}

// Rewrites the reserved entries in the other version's layout and clears all else. Only plain page grants pass (and idle
// transfers do not); the in-use marks come from our own record, not from the guest's copy.
void Table::convert_reserved(u32 version) {
    struct Kept {
        u16 flags = 0;
        DomId domid;
        u64 frame = 0;
    };
    Kept kept[reserved_entries];
    u16 marks[reserved_entries] = {};
    constexpr u32 passing = GTF_type_mask | GTF_readonly | GTF_PWT | GTF_PCD | GTF_PAT;
    for (u32 ref = 0; ref < reserved_entries; ++ref) {
        const Active& a = active(ref);
        if (a.pins != 0) marks[ref] = static_cast<u16>(GTF_reading | ((a.pins & pin::write_mask) != 0 ? GTF_writing : 0));
        const Shared s = shared(ref);
        const Header h = load_header(s.header);
        if (a.pins == 0 && (h.type() != GTF_permit_access || (version_ == 2 && h.has(GTF_sub_page)))) continue;
        u64 frame = a.frame;
        if (a.pins == 0)
            frame = version_ == 1 ? load_once(reinterpret_cast<grant_entry_v1_t*>(s.entry)->frame)
                                  : load_once(reinterpret_cast<grant_entry_v2_t*>(s.entry)->full_page.frame);
        if (version == 1 && frame >> 32 != 0) continue;
        kept[ref] = {static_cast<u16>(h.flags() & passing), h.domid(), frame};
    }
    for (u32 i = 0; i < frame_count_; ++i) std::fill_n(frames_[i].address, page_size, u8{0});
    for (u32 i = 0; i < status_count_; ++i) std::fill_n(status_[i].address, page_size, u8{0});
    version_ = version;
    for (u32 ref = 0; ref < reserved_entries; ++ref) {
        const Shared s = shared(ref);
        const Kept& k = kept[ref];
        if (version == 1)
            store_once(reinterpret_cast<grant_entry_v1_t*>(s.entry)->frame, static_cast<u32>(k.frame));
        else
            store_once(reinterpret_cast<grant_entry_v2_t*>(s.entry)->full_page.frame, k.frame);
        __atomic_store_n(s.header, u32{k.flags} | u32{k.domid.raw} << 16, __ATOMIC_RELEASE);
        if (marks[ref] != 0) set_flags(s.marks, marks[ref]);
    }
}

Result<> Table::set_version(u32 wanted) {
    if (wanted != 1 && wanted != 2) return fail(XEN_EINVAL);
    if (wanted > limits_.max_version) return fail(XEN_ENOSYS);
    for (;;) {
        u32 needed = 0;
        {
            Guard guard(lock_);
            if (version_ == wanted) return {};
            needed = wanted == 2 ? status_frames_for(frame_count_) : 0;
            if (status_count_ >= needed) {
                u32 reserved_in_use = 0;
                for (u32 ref = 0; ref < reserved_entries; ++ref) reserved_in_use += active(ref).pins != 0 ? 1 : 0;
                if (in_use_ != reserved_in_use || !reserved_convertible(wanted)) return fail(XEN_EBUSY);
                convert_reserved(wanted);
                return {};
            }
        }
        TRY(grow_status(needed));
    }
}

// --- life

void Table::close() {
    maptrack_.close();
    Guard guard(lock_);
    closed_ = true;
}

Result<> create_table(Domain& domain, Limits limits) {
    void* memory = heap_allocate(sizeof(Table));
    if (memory == nullptr) return fail(XEN_ENOMEM);
    domain.grants = ::new (memory) Table(domain, limits);
    if (auto made = domain.grants->create(); !made) {
        destroy_table(domain);
        return made;
    }
    return {};
}

void destroy_table(Domain& domain) {
    Table* table = std::exchange(domain.grants, nullptr);
    if (table == nullptr) return;
    table->~Table();
    heap_release(table, sizeof(Table));
}

Result<u32> resource_size(Domain& domain, u32 id) {
    if (domain.grants == nullptr) return fail(XEN_EINVAL);
    const u32 frames = domain.grants->limits().max_frames;
    if (id == XENMEM_resource_grant_table_id_shared) return frames;
    if (id == XENMEM_resource_grant_table_id_status) return status_frames_for(frames);
    return fail(XEN_EINVAL);
}

Result<> resource_frames(Domain& domain, u32 id, u64 first, std::span<u64> out) {
    const u32 most = TRY(resource_size(domain, id));
    if (!range_fits(first, out.size(), most)) return fail(XEN_EINVAL);
    Table& table = *domain.grants;
    const bool status = id == XENMEM_resource_grant_table_id_status;
    if (status && table.version() != 2) return fail(XEN_EINVAL);
    const u64 end = first + out.size();
    constexpr u32 per_status_frame = statuses_per_frame / entries_per_frame_v2;
    const u64 needed = status ? (end == 0 ? 0 : (end - 1) * per_status_frame + 1) : end;
    TRY(table.grow(static_cast<u32>(needed)));
    if (!table.list_frames(static_cast<u32>(first), out, status)) return fail(XEN_EINVAL);
    return {};
}

}  // namespace xylem::grant
