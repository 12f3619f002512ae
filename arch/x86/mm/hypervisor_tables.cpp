// SPDX-License-Identifier: MIT
#include "arch/x86/mm/hypervisor_tables.hpp"

#include <algorithm>

#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/mm/ioremap.hpp"
#include "base/panic.hpp"
#include "base/sync/spinlock.hpp"
#include "core/mem/frames.hpp"
#include "cpu/layout.hpp"

extern "C" char image_begin[], text_end[], rodata_end[], image_end[];

namespace xylem {
namespace {

// Where devices are mapped, in the image's slot beyond the image.
constexpr u64 window_start = layout::image_start + 64 * gib;
constexpr u64 window_end = layout::image_start + 128 * gib;

constinit EarlyMemory* early = nullptr;
constinit Spinlock window_lock;
constinit u64 window_next XYLEM_GUARDED_BY(window_lock) = window_start;

u64* table_at(u64 entry) {
    return static_cast<u64*>(layout::direct_map(Maddr(entry & pte::frame_mask)));
}

// The table below `entry`, made when absent. `flags` decides about user access of the path.
u64* descend(u64& entry, u64 flags) {
    if ((entry & pte::present) == 0) {
        const Result<Mfn> t = hypervisor_frames(0);
        if (!t) return nullptr;
        entry = maddr_of(*t).raw | pte::present | pte::writable | pte::accessed;
    }
    entry |= flags & pte::user;
    return table_at(entry);
}

}  // namespace

u64 hypervisor_root() {
    return reinterpret_cast<u64>(hypervisor_l4) - layout::image_start;
}

Result<Mfn> hypervisor_frames(unsigned order) {
    if (early != nullptr) return mfn_of(early->allocate(page_size << order, page_size, 4 * gib));
    const Mfn m = TRY(frames().allocate(order));
    std::fill_n(static_cast<u64*>(layout::direct_map(maddr_of(m))), usize{512} << order, u64{0});
    return m;
}

Result<u64*> l1_entry(u64 va) {
    u64* table = hypervisor_l4;
    for (unsigned shift = 39; shift > 12; shift -= 9) {
        table = descend(table[(va >> shift) & 511], 0);
        if (table == nullptr) return fail(XEN_ENOMEM);
    }
    return &table[(va >> 12) & 511];
}

Result<> map_range(u64 va, Maddr start, u64 bytes, u64 flags) {
    constexpr u64 big = 2 * mib;
    while (bytes > 0) {
        u64* l3 = descend(hypervisor_l4[(va >> 39) & 511], flags);
        u64* l2 = l3 != nullptr ? descend(l3[(va >> 30) & 511], flags) : nullptr;
        if (l2 == nullptr) return fail(XEN_ENOMEM);
        u64& l2e = l2[(va >> 21) & 511];
        if ((va | start.raw) % big == 0 && bytes >= big && (flags & pte::pat) == 0 &&
            ((l2e & pte::present) == 0 || (l2e & pte::large) != 0)) {
            l2e = start.raw | flags | pte::large;
            va += big;
            start = start + big;
            bytes -= big;
            continue;
        }
        if ((l2e & pte::large) != 0) l2e = 0;
        u64* l1 = descend(l2e, flags);
        if (l1 == nullptr) return fail(XEN_ENOMEM);
        l1[(va >> 12) & 511] = start.raw | flags;
        va += page_size;
        start = start + page_size;
        bytes -= std::min(bytes, page_size);
    }
    return {};
}

namespace {

void must(Result<> r) {
    if (!r) panic("not enough memory for the hypervisor's page tables");
}

// Drops every translation, global ones too.
void flush_all_local() {
    cpu::write_cr4(cpu::read_cr4() & ~u64{0x80});
    cpu::write_cr3(cpu::read_cr3());
    cpu::write_cr4(cpu::read_cr4() | 0x80);
}

// The image with exactly its rights. head.S maps it through tables shared with the direct map, so the new ones are built at
// a scratch slot and put in place in one step.
void map_image() {
    constexpr unsigned scratch_slot = 262;
    const auto part = [](const char* from, const char* to, u64 flags) {
        const u64 offset = reinterpret_cast<u64>(from) - layout::image_start;
        must(map_range(layout::slot(scratch_slot) + offset, Maddr(offset), align_up(static_cast<u64>(to - from), page_size),
                       flags));
    };
    part(image_begin, text_end, pte::code);
    part(text_end, rodata_end, pte::read_only);
    part(rodata_end, image_end, pte::read_write);
    hypervisor_l4[259] = hypervisor_l4[scratch_slot];
    hypervisor_l4[scratch_slot] = 0;
    hypervisor_l4[0] = 0;
    flush_all_local();
}

// A table of `bytes` at `va` from 2 MiB pieces, and a second view of it where `va2` is set.
void map_table(EarlyMemory& memory, u64 va, u64 bytes, u64 va2) {
    while (bytes > 0) {
        const u64 n = std::min(bytes, 2 * mib);
        // Anywhere: what lies below 4 GiB is worth more to dom0's devices.
        const Maddr chunk = memory.allocate(n, n == 2 * mib ? 2 * mib : page_size, ~u64{0});
        must(map_range(va, chunk, n, pte::read_write));
        if (va2 != 0) {
            // Not global: user programs have other page tables, without it.
            must(map_range(va2, chunk, n, (pte::read_only & ~pte::global) | pte::user));
            va2 += n;
        }
        va += n;
        bytes -= n;
    }
}

}  // namespace

void build_hypervisor_tables(EarlyMemory& memory, u64 ram_end) {
    early = &memory;
    map_image();
    must(map_range(layout::direct_map_start, Maddr(0), align_up(std::max(ram_end, 4 * gib), 2 * mib), pte::read_write));
    // Every slot that will ever be used gets its L3 now: guest tables copy the L4 entries once.
    descend(hypervisor_l4[256], pte::user);
    descend(hypervisor_l4[257], 0);
    descend(hypervisor_l4[258], 0);

    const u64 frame_total = ram_end >> page_shift;
    map_table(memory, layout::frame_table_start, align_up(frame_total * sizeof(PageInfo), page_size), 0);
    // Whole pieces: tools map them so (XENMEM_machphys_mfn_list).
    map_table(memory, layout::m2p_start, align_up(frame_total * sizeof(u64), 2 * mib), layout::m2p_guest_start);
    layout::frames_in_table = frame_total;
    flush_all_local();
}

// From here on tables come from the frame allocator.
void end_early_tables() {
    early = nullptr;
}

void* ioremap(Maddr start, u64 bytes, u64 flags) {
    const u64 offset = start.raw & page_mask;
    const u64 whole = align_up(bytes + offset, page_size);
    u64 va = 0;
    {
        Guard g(window_lock);
        va = window_next;
        window_next += whole + page_size;
    }
    if (va + whole > window_end) panic("the device-mapping window is full");
    if (!map_range(va, Maddr(start.raw - offset), whole, flags)) panic("no memory to map {} KiB of device memory", whole / kib);
    return reinterpret_cast<void*>(va + offset);
}

volatile void* ioremap_uncached(Maddr start, u64 bytes) {
    return ioremap(start, bytes, pte::uncached);
}

u64 machine_address_of(u64 va) {
    u64 entry = hypervisor_l4[(va >> 39) & 511];
    for (unsigned shift = 30; shift >= 12; shift -= 9) {
        entry = table_at(entry)[(va >> shift) & 511];
        if ((entry & pte::large) != 0 && shift > 12)
            return (entry & pte::frame_mask & ~((u64{1} << shift) - 1)) | (va & ((u64{1} << shift) - 1));
    }
    return (entry & pte::frame_mask) | (va & page_mask);
}

}  // namespace xylem
