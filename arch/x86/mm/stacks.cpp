// SPDX-License-Identifier: MIT
#include "arch/x86/mm/stacks.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "arch/x86/entry/offsets.h"
#include "arch/x86/mm/hypervisor_tables.hpp"
#include "arch/x86/mm/tlb.hpp"
#include "base/sync/spinlock.hpp"
#include "core/mem/frames.hpp"
#include "cpu/layout.hpp"

namespace xylem {
namespace {

// In the image's slot, beyond the devices.
constexpr u64 window_start = layout::image_start + 128 * gib;
constexpr u64 window_end = layout::image_start + 160 * gib;
constexpr u64 stride = 2 * STACK_BYTES;  // its first half stays unmapped

constinit Spinlock lock;
constinit u64 next_block XYLEM_GUARDED_BY(lock) = window_start + STACK_BYTES;

// Blocks without frames. The L1 entry of a block's first page holds the next one's address: an entry that is not present.
constinit u64 unused XYLEM_GUARDED_BY(lock) = 0;

constexpr unsigned pages = STACK_BYTES / page_size;
constexpr unsigned order = std::countr_zero(pages);

}  // namespace

void* allocate_stack() {
    u64 block = 0;
    bool used_before = false;
    {
        Guard g(lock);
        used_before = unused != 0;
        block = used_before ? unused : next_block;
        if (block + STACK_BYTES > window_end) return nullptr;
        const Result<u64*> entries = l1_entry(block);
        if (!entries) return nullptr;
        const Result<Mfn> frame = hypervisor_frames(order);
        if (!frame) return nullptr;
        if (used_before) {
            unused = **entries;
        } else {
            next_block += stride;
        }
        for (unsigned i = 0; i < pages; ++i) (*entries)[i] = maddr_of(*frame + i).raw | pte::read_write;
    }
    // CPUs may remember what was here before. Nobody touches a stack that is not in use, so it matters only now.
    if (used_before)
        for (u64 at = 0; at < STACK_BYTES; at += page_size) flush_page_on(sched::CpuMask::all(), block + at);
    return reinterpret_cast<void*>(block);
}

void release_stack(void* stack) {
    const u64 block = reinterpret_cast<u64>(stack);
    Guard g(lock);
    u64* entries = *l1_entry(block);  // there since it was mapped
    const Mfn frame = mfn_of(Maddr(entries[0] & pte::frame_mask));
    std::fill_n(entries, pages, u64{0});
    entries[0] = std::exchange(unused, block);
    frames().release(frame, order);
}

}  // namespace xylem
