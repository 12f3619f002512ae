// SPDX-License-Identifier: MIT
// A domain's grants: the table it shares with us, what of it is in use (our own record, the only one we trust), and what the
// domain itself has mapped of others.
//
// Locks: lock_ guards the entries in use and the layout of the shared table; Maptrack has its own. Neither is held with the
// other, nor while guests' memory is copied, page tables are changed or TLBs flushed.
#pragma once

#include <span>

#include "core/domain/domain.hpp"
#include "core/domain/grant_limits.hpp"
#include "core/grant/entry.hpp"
#include "core/grant/maptrack.hpp"
#include "core/mem/pages.hpp"

namespace xylem::grant {

using Status = int;  // GNTST_*

// How often an entry is in use, by kind: four counts of 16 bits.
namespace pin {
inline constexpr u64 host_read = u64{1};
inline constexpr u64 host_write = u64{1} << 16;
inline constexpr u64 device_read = u64{1} << 32;
inline constexpr u64 device_write = u64{1} << 48;
inline constexpr u64 field = 0xffff;
inline constexpr u64 write_mask = field * (host_write | device_write);
// True where one more of `kinds` (one of each at most) fits into each count.
constexpr bool fits(u64 pins, u64 kinds) {
    for (u64 one : {host_read, host_write, device_read, device_write})
        if ((kinds & one) != 0 && (pins & (field * one)) == field * one) return false;
    return true;
}
}  // namespace pin

enum class Use : u8 { map, copy, nested_copy };  // nested: reached through a transitive grant

// What an entry in use gives access to: our snapshot, taken once when its first use began.
struct Grant {
    enum class Kind : u8 { page, part_of_page, transitive };
    Kind kind = Kind::page;
    Mfn mfn = invalid_mfn;
    u16 start = 0;
    u16 length = 0;  // part_of_page only
    DomId next_domain = domid_invalid;
    u32 next_ref = 0;
};

class Table {
   public:
    Table(Domain& owner, Limits limits) : owner_(owner), limits_(limits) {}
    Result<> create();
    // Frees everything. No entry is in use and no handle lives (their holders count references on the domain).
    ~Table();

    Domain& owner() { return owner_; }
    const Limits& limits() const { return limits_; }
    Maptrack& maptrack() { return maptrack_; }

    // --- use of entries (by the domain `user`) ---------------------------------------------------------------------------
    // Begins a use: validates the shared entry (first use), marks it as in use for the granter, counts `kinds`. The entry's
    // page has one reference for as long as any use lasts. GNTST_* answers.
    Status begin_use(u32 ref, DomId user, u64 kinds, Use use, Grant& out);
    // Ends it; the last use of a kind clears the granter's mark. The user's TLBs are clean by then (XSA-218).
    void end_use(u32 ref, u64 kinds);
    // The page of an entry that the caller has in use.
    Mfn frame_in_use(u32 ref) const;

    // --- the shared table --------------------------------------------------------------------------------------------------
    // At least this many frames (and their status frames in version 2). XEN_EINVAL over the limit, XEN_ENOMEM.
    Result<> grow(u32 frames);
    u32 frames();
    u32 status_frames();
    u32 version();
    // XEN_ENOSYS over max_version, XEN_EBUSY while entries beyond the reserved ones are in use.
    Result<> set_version(u32 version);
    // The frames first .. first + out.size() - 1 of the shared (or status) table as they are now; false beyond its end.
    bool list_frames(u32 first, std::span<u64> out, bool status);
    Status swap(u32 a, u32 b);

    // --- page transfer into the domain ----------------------------------------------------------------------------------------
    // The entry accepts a page from `from`: marks it as committed, tells at which gfn the domain wants the page.
    Status commit_transfer(u32 ref, DomId from, u64& gfn);
    void cancel_transfer(u32 ref);
    void complete_transfer(u32 ref, Mfn mfn);

    // The domain dies: its entries begin no new use, it gets no new handle.
    void close();

    void dump(text::Sink& out);
    u64 uses_of(u32 ref);  // by kind; for tests
    // For audits: the frames of entries in use, each once per entry, and those the table itself consists of.
    template <class Visit>
    void for_each_frame_in_use(Visit&& visit) {
        Guard guard(lock_);
        u32 left = in_use_;
        for (u32 ref = 0; left != 0; ++ref) {
            const Active& a = active(ref);
            if (a.pins == 0) continue;
            --left;
            if (a.kind != Grant::Kind::transitive) visit(Mfn(a.frame));
        }
    }
    template <class Visit>
    void for_each_own_frame(Visit&& visit) {
        Guard guard(lock_);
        for (u32 i = 0; i < frame_count_; ++i) visit(frames_[i].mfn);
        for (u32 i = 0; i < status_count_; ++i) visit(status_[i].mfn);
    }

   private:
    static constexpr u32 actives_per_frame = entries_per_frame_v1;  // enough for either version

    // Our record of an entry. pins == 0: not in use, nothing else is valid.
    struct Active {
        u64 frame = 0;  // mfn; transitive: ref | domain << 32
        u64 pins = 0;
        DomId user;
        u16 start = 0;
        u16 length = 0;
        Grant::Kind kind = Grant::Kind::page;
    };
    static_assert(sizeof(Active) == 24);

    struct Frame {
        u8* address = nullptr;
        Mfn mfn = invalid_mfn;
        Active* actives = nullptr;
    };
    // Pointers into the shared table for one entry: its header, where its in-use marks stand (v1: in the header).
    struct Shared {
        u32* header;
        u16* marks;
        u8* entry;
    };

    u32 entries() const XYLEM_REQUIRES(lock_) {
        return frame_count_ * (version_ == 1 ? entries_per_frame_v1 : entries_per_frame_v2);
    }
    Active& active(u32 ref) const { return frames_[ref / actives_per_frame].actives[ref % actives_per_frame]; }
    Shared shared(u32 ref) const XYLEM_REQUIRES(lock_);
    u16& status_of(u32 ref) const XYLEM_REQUIRES(lock_);
    Status mark(u32 ref, const Shared& s, DomId user, bool write, Use use, Header& seen) XYLEM_REQUIRES(lock_);
    Status mark_v1(const Shared& s, DomId user, bool write, Use use, Header& seen) XYLEM_REQUIRES(lock_);
    Status mark_v2(u32 ref, const Shared& s, DomId user, bool write, Use use, Header& seen) XYLEM_REQUIRES(lock_);
    Status snapshot(const Shared& s, Header seen, Use use, Active& into) XYLEM_REQUIRES(lock_);
    Result<Frame> make_frame(bool with_actives);
    static void drop_frame(Frame& frame);
    Result<> grow_status(u32 count);
    void convert_reserved(u32 version) XYLEM_REQUIRES(lock_);
    bool reserved_convertible(u32 version) const XYLEM_REQUIRES(lock_);

    Domain& owner_;
    const Limits limits_;
    Spinlock lock_;
    // Arrays of limits_' sizes. Slots below the counts are filled and stay until the table goes.
    Frame* frames_ = nullptr;
    Frame* status_ = nullptr;
    u32 frame_count_ XYLEM_GUARDED_BY(lock_) = 0;
    u32 status_count_ XYLEM_GUARDED_BY(lock_) = 0;  // kept when the domain returns to version 1 (XSA-384)
    u32 version_ XYLEM_GUARDED_BY(lock_) = 1;       // never 0 (XSA-134)
    u32 in_use_ XYLEM_GUARDED_BY(lock_) = 0;        // entries with pins
    bool closed_ XYLEM_GUARDED_BY(lock_) = false;
    Maptrack maptrack_;
};

constexpr u32 status_frames_for(u32 frames) {
    return (frames * entries_per_frame_v2 + statuses_per_frame - 1) / statuses_per_frame;
}

// --- life of a domain's table ------------------------------------------------------------------------------------------------
// Domain creation: sets domain.grants. XEN_ENOMEM.
Result<> create_table(Domain& domain, Limits limits = {});
// When the domain's structure goes (no references left).
void destroy_table(Domain& domain);
// Domain death, with its vCPUs stopped for good and best after its page tables are gone: ends all it has in use of others'
// grants, and lets nobody begin with its own. Preemptible; calling it again is harmless. No locks held.
void release_all_mappings(Domain& domain);

// --- XENMEM_acquire_resource ---------------------------------------------------------------------------------------------------
// How many frames the resource (XENMEM_resource_grant_table_id_*) can have. XEN_EINVAL: no such id.
Result<u32> resource_size(Domain& domain, u32 id);
// Machine frames first .. of it, growing the table where needed. XEN_EINVAL, XEN_ENOMEM.
Result<> resource_frames(Domain& domain, u32 id, u64 first, std::span<u64> out);

// For people: the table's sizes and who uses its entries. No locks held.
void dump(Domain& domain, text::Sink& out);

// Hypercall 20. No locks held.
long grant_table_op(Vcpu& vcpu, u64 command, u64 argument, u64 count);

}  // namespace xylem::grant
