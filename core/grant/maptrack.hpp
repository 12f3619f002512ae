// SPDX-License-Identifier: MIT
// What a domain has mapped of others' grants: a dense array of handles, one lock for entries and free list alike (XSA-228).
#pragma once

#include "base/sync/spinlock.hpp"
#include "core/domain/domain.hpp"

namespace xylem::grant {

using Handle = u32;

// The parts of a mapping, and how it was made.
namespace part {
inline constexpr u8 host = 1;
inline constexpr u8 device = 2;
inline constexpr u8 readonly = 4;
inline constexpr u8 contains_pte = 8;
inline constexpr u8 device_access = 16;  // port::allow_device_access was called for it
inline constexpr u8 mappings = host | device;
}  // namespace part

// A mapping's parts, or the right to undo some of them. `granter` is counted by the handle, so it outlives every use.
struct Mapping {
    Domain* granter = nullptr;
    u32 ref = 0;
    u8 parts = 0;
};

class Maptrack {
   public:
    static constexpr u32 per_frame = page_size / 16;

    // Before any other use.
    void limit_to(u32 max_frames) { max_frames_ = max_frames; }
    void destroy();

    // A handle that nobody can use yet; holds a count on the granter. XEN_ENOSPC at the limit, out of memory, or when closed.
    Result<Handle> reserve(Domain& granter, u32 ref);
    void publish(Handle handle, u8 parts);
    // Gives an unpublished handle back.
    void cancel(Handle handle);

    // Takes those of `wanted` (mapping parts) that the handle has out of it, for undoing them: of two callers that try, one
    // gets a part. The answer's parts are what was taken (none: nothing to restore or finish, do not follow `granter`) and
    // how the mapping was made; device_access is included with the last part. Granter null: no such handle.
    Mapping claim(Handle handle, u8 wanted);
    // Undoing failed: the parts are the handle's again.
    void restore(Handle handle, u8 parts);
    // Undone. The handle is free when this was its last part.
    void finish(Handle handle);

    // For reports: what a handle stands for now (granter null: nothing). Do not follow the pointer.
    Mapping peek(Handle handle);
    // No handle is given out any more (the domain dies).
    void close();
    // Handles below this number may exist.
    u32 limit();
    u32 live();

   private:
    // `claims`: parts taken out and not finished; the handle stays allocated for them.
    struct Track {
        Domain* granter;  // null: free, and ref is the next free handle
        u32 ref;
        u8 parts;
        u8 claims;
        u16 spare;
    };
    static_assert(sizeof(Track) == page_size / per_frame);
    static constexpr u32 none = ~u32{0};
    static constexpr u32 first_list_size = 16;

    Track& track(Handle handle) XYLEM_REQUIRES(lock_) { return frames_[handle / per_frame][handle % per_frame]; }
    Domain* free_handle(Handle handle) XYLEM_REQUIRES(lock_);
    bool extend_list();
    bool grow();

    Spinlock lock_;
    u32 max_frames_ = 0;
    Track** frames_ XYLEM_GUARDED_BY(lock_) = nullptr;  // the list doubles when it is full; those below frame_count_ stay
    u32 list_size_ XYLEM_GUARDED_BY(lock_) = 0;
    u32 frame_count_ XYLEM_GUARDED_BY(lock_) = 0;
    u32 first_free_ XYLEM_GUARDED_BY(lock_) = none;
    u32 live_ XYLEM_GUARDED_BY(lock_) = 0;
    bool closed_ XYLEM_GUARDED_BY(lock_) = false;
};

}  // namespace xylem::grant
