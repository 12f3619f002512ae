// SPDX-License-Identifier: MIT
#include "core/grant/maptrack.hpp"

#include <algorithm>

#include "base/panic.hpp"
#include "core/mem/heap.hpp"

namespace xylem::grant {

void Maptrack::destroy() {
    u32 count = 0;
    u32 size = 0;
    Track** frames = nullptr;
    {
        Guard guard(lock_);
        XYLEM_BUG_ON(live_ != 0);
        count = std::exchange(frame_count_, 0u);
        size = std::exchange(list_size_, 0u);
        frames = std::exchange(frames_, nullptr);
        first_free_ = none;
        closed_ = true;
    }
    for (u32 i = 0; i < count; ++i) heap_release(frames[i], page_size);
    if (frames != nullptr) heap_release(frames, size * sizeof(Track*));
}

// Room in the list for one more frame. Allocations happen outside the lock, so two vCPUs may both bring one; the loser's is
// given back.
bool Maptrack::extend_list() {
    u32 old_size = 0;
    {
        Guard guard(lock_);
        if (frame_count_ < list_size_) return true;
        old_size = list_size_;
    }
    u32 size = std::min(std::max(old_size * 2, first_list_size), max_frames_);
    auto** list = static_cast<Track**>(heap_allocate(size * sizeof(Track*)));
    if (list == nullptr) return false;
    {
        Guard guard(lock_);
        if (list_size_ == old_size && !closed_) {
            std::copy_n(frames_, frame_count_, list);
            std::swap(frames_, list);
            std::swap(list_size_, size);
        }
    }
    if (list != nullptr) heap_release(list, size * sizeof(Track*));
    return true;
}

// Adds a frame of handles, lowest first on the free list.
bool Maptrack::grow() {
    if (!extend_list()) return false;
    auto* fresh = static_cast<Track*>(heap_allocate(page_size));
    if (fresh == nullptr) return false;
    {
        Guard guard(lock_);
        if (first_free_ == none && frame_count_ < list_size_ && !closed_) {
            const u32 base = frame_count_ * per_frame;
            for (u32 i = 0; i < per_frame; ++i) fresh[i] = {nullptr, i + 1 < per_frame ? base + i + 1 : none, 0, 0, 0};
            frames_[frame_count_++] = std::exchange(fresh, nullptr);
            first_free_ = base;
        }
    }
    if (fresh != nullptr) heap_release(fresh, page_size);
    return true;
}

Result<Handle> Maptrack::reserve(Domain& granter, u32 ref) {
    for (;;) {
        {
            Guard guard(lock_);
            if (closed_) return fail(XEN_ENOSPC);
            if (first_free_ != none) {
                const Handle handle = first_free_;
                Track& t = track(handle);
                first_free_ = t.ref;
                granter.references.fetch_add(1, std::memory_order_relaxed);
                t = {&granter, ref, 0, 1, 0};
                ++live_;
                return handle;
            }
            if (frame_count_ == max_frames_) return fail(XEN_ENOSPC);
        }
        if (!grow()) return fail(XEN_ENOSPC);
    }
}

void Maptrack::publish(Handle handle, u8 parts) {
    Guard guard(lock_);
    Track& t = track(handle);
    t.parts = parts;
    t.claims = 0;
}

Domain* Maptrack::free_handle(Handle handle) {
    Track& t = track(handle);
    Domain* granter = t.granter;
    t = {nullptr, first_free_, 0, 0, 0};
    first_free_ = handle;
    --live_;
    return granter;
}

void Maptrack::cancel(Handle handle) {
    DomainRef dropped;  // released after the lock
    Guard guard(lock_);
    dropped = DomainRef::adopt(free_handle(handle));
}

Mapping Maptrack::claim(Handle handle, u8 wanted) {
    Guard guard(lock_);
    if (handle / per_frame >= frame_count_) return {};
    Track& t = track(handle);
    if (t.granter == nullptr || (t.parts & part::mappings) == 0) return {};
    u8 taken = t.parts & wanted & part::mappings;
    const u8 made = t.parts & (part::readonly | part::contains_pte);
    if (taken == 0) return {t.granter, t.ref, made};
    if ((t.parts & part::mappings) == taken) taken |= t.parts & part::device_access;
    t.parts = static_cast<u8>(t.parts & ~taken);
    ++t.claims;
    return {t.granter, t.ref, static_cast<u8>(taken | made)};
}

void Maptrack::restore(Handle handle, u8 parts) {
    Guard guard(lock_);
    Track& t = track(handle);
    t.parts = static_cast<u8>(t.parts | (parts & (part::mappings | part::device_access)));
    --t.claims;
}

void Maptrack::finish(Handle handle) {
    DomainRef dropped;
    Guard guard(lock_);
    Track& t = track(handle);
    if (--t.claims == 0 && (t.parts & part::mappings) == 0) dropped = DomainRef::adopt(free_handle(handle));
}

Mapping Maptrack::peek(Handle handle) {
    Guard guard(lock_);
    if (handle / per_frame >= frame_count_) return {};
    const Track& t = track(handle);
    if (t.granter == nullptr || (t.parts & part::mappings) == 0) return {};
    return {t.granter, t.ref, t.parts};
}

void Maptrack::close() {
    Guard guard(lock_);
    closed_ = true;
}

u32 Maptrack::limit() {
    Guard guard(lock_);
    return frame_count_ * per_frame;
}

u32 Maptrack::live() {
    Guard guard(lock_);
    return live_;
}

}  // namespace xylem::grant
