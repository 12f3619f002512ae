// SPDX-License-Identifier: MIT
#include "arch/host/mmu.hpp"

#include <cstring>
#include <unordered_map>

#include "arch/host/machine.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/pv/pte.hpp"
#include "base/text/format.hpp"
#include "core/mem/pages.hpp"
#include "cpu/instructions.hpp"

namespace xylem::host {
namespace {

using namespace pv;

struct Translation {
    u64 frame = 0;
    u16 owner = 0;
    bool writable = false, dirty = false, global = false, device = false;
};
// A paging-structure cache entry: where the table of `level` for this part of the address space is.
struct Step {
    u64 frame = 0;
    u16 owner = 0;
    bool writable = true;
};

struct Tlb {
    std::unordered_map<u64, Translation> pages;  // by page number
    std::unordered_map<u64, Step> tables[4];     // [level]: by va >> (12 + 9 * level); level 1..3
};
Tlb tlbs[max_cpus];

u64 page_number(u64 va) {
    return va >> page_shift;
}

// Finds the table of `level` for `va`, with the rights so far.
bool find_table(Tlb& tlb, u64 root, u64 va, unsigned level, Step& out) {
    if (level == 4) {
        const u64 frame = root >> page_shift;
        out = {frame, layout::frame_table()[frame].owner().raw, true};
        return true;
    }
    const u64 key = va >> (page_shift + 9 * level);
    if (const auto cached = tlb.tables[level].find(key); cached != tlb.tables[level].end()) {
        out = cached->second;
        return true;
    }
    Step above;
    if (!find_table(tlb, root, va, level + 1, above)) return false;
    u64* slot = table_of(Mfn(above.frame)) + index_of(va, level + 1);
    const u64 entry = __atomic_load_n(slot, __ATOMIC_RELAXED);
    if (!is_present(entry) || (entry & bits::user) == 0) return false;
    if (frame_of(entry).raw >= layout::frame_count()) return false;
    __atomic_or_fetch(slot, bits::accessed, __ATOMIC_RELAXED);
    out = {frame_of(entry).raw, layout::frame_table()[frame_of(entry).raw].owner().raw,
           above.writable && (entry & bits::writable) != 0};
    tlb.tables[level][key] = out;
    return true;
}

// Translates one address; fills the cache.
bool translate(u64 va, bool write, Translation& out, u32& error) {
    Tlb& tlb = tlbs[machine.cpu.raw];
    const u64 root = registers().cr3;
    const u64 key = page_number(va);
    if (const auto hit = tlb.pages.find(key); hit != tlb.pages.end()) {
        out = hit->second;
        if (!write || (out.writable && out.dirty)) return true;
        tlb.pages.erase(hit);  // the CPU walks again for the dirty bit, and before it reports a fault
    }
    error = (write ? x86::fault::write : 0) | x86::fault::user;
    Step table;
    if (root == 0 || !find_table(tlb, root, va, 1, table)) return false;
    u64* slot = table_of(Mfn(table.frame)) + index_of(va, 1);
    u64 entry = __atomic_load_n(slot, __ATOMIC_RELAXED);
    if (!is_present(entry) || (entry & bits::user) == 0) return false;
    out.writable = table.writable && (entry & bits::writable) != 0;
    if (write && !out.writable) {
        error |= x86::fault::present;
        return false;
    }
    entry = __atomic_or_fetch(slot, bits::accessed | (write ? bits::dirty : 0), __ATOMIC_RELAXED);
    out.frame = frame_of(entry).raw;
    out.dirty = (entry & bits::dirty) != 0;
    out.global = (entry & bits::global) != 0 && (registers().cr4 & x86::cr4::pge) != 0;
    out.device = out.frame >= layout::frame_count() || layout::frame_table()[out.frame].load().has(PageState::io_bit);
    out.owner = out.device ? u16{0} : layout::frame_table()[out.frame].owner().raw;
    tlb.pages[key] = out;
    return true;
}

template <class Copy>
AccessResult access(u64 va, u64 bytes, bool write, Copy&& copy) {
    u64 done = 0;
    while (done < bytes) {
        const u64 at = va + done;
        if (!layout::is_canonical(at)) return {false, at, 0};
        const u64 n = std::min(bytes - done, page_size - (at & page_mask));
        Translation t;
        u32 error = 0;
        // The hypervisor's slots are supervisor pages to a guest.
        if (layout::in_hypervisor(at)) return {false, at, x86::fault::user | (write ? x86::fault::write : 0u)};
        if (!translate(at, write, t, error)) return {false, at, error};
        if (t.device)
            copy(nullptr, done, n);
        else
            copy(static_cast<u8*>(layout::direct_map(maddr_of(Mfn(t.frame)))) + (at & page_mask), done, n);
        done += n;
    }
    return {true, 0, 0};
}

bool is_table_now(u64 frame, unsigned level, u16 owner) {
    const PageInfo& p = layout::frame_table()[frame];
    const PageState s = p.load();
    // A table that is nobody's any more does no harm until somebody can write to it or it is somebody else's.
    if (s.has(PageState::free_bit)) return true;
    if (s.references() == 0) return true;
    if (p.owner().raw != owner) return false;
    if (s.type_uses() == 0 || !s.has(PageState::validated_bit)) return true;
    return s.type() == static_cast<PageType>(level);
}

}  // namespace

void tlb_flush_all() {
    Tlb& tlb = tlbs[machine.cpu.raw];
    std::erase_if(tlb.pages, [](const auto& e) { return !e.second.global; });
    for (auto& t : tlb.tables) t.clear();
}
void tlb_flush_with_globals() {
    tlbs[machine.cpu.raw] = {};
}
void tlb_flush_page(u64 va) {
    Tlb& tlb = tlbs[machine.cpu.raw];
    tlb.pages.erase(page_number(va));
    for (auto& t : tlb.tables) t.clear();
}
void reset_mmu() {
    for (Tlb& t : tlbs) t = {};
}

AccessResult guest_load(u64 va, void* to, u64 bytes) {
    return access(va, bytes, false, [to](const u8* from, u64 done, u64 n) {
        if (from == nullptr)
            std::memset(static_cast<u8*>(to) + done, 0xff, n);
        else
            std::memcpy(static_cast<u8*>(to) + done, from, n);
    });
}
AccessResult guest_store(u64 va, const void* from, u64 bytes) {
    return access(va, bytes, true, [from](u8* to, u64 done, u64 n) {
        if (to != nullptr) std::memcpy(to, static_cast<const u8*>(from) + done, n);
    });
}
bool guest_read(u64 va, void* to, u64 bytes) {
    return guest_load(va, to, bytes).ok;
}
bool guest_write(u64 va, const void* from, u64 bytes) {
    return guest_store(va, from, bytes).ok;
}

std::string check_tlbs() {
    text::FixedText<200> wrong;
    for (u32 c = 0; c < machine.cpus; ++c) {
        for (const auto& [number, t] : tlbs[c].pages) {
            if (t.device) continue;
            const PageInfo& p = layout::frame_table()[t.frame];
            const PageState s = p.load();
            if (s.has(PageState::free_bit) || s.references() == 0) continue;  // flushed before its next use
            if (p.owner().raw != t.owner) {
                text::format(wrong, "cpu {}: page {} still reaches frame {} of d{}, now d{}'s", c, number, t.frame, t.owner,
                             p.owner().raw);
                return std::string(wrong.view());
            }
            if (t.writable && s.type_uses() != 0 && s.has(PageState::validated_bit) && s.type() != PageType::writable) {
                text::format(wrong, "cpu {}: page {} can still write to frame {}, in use as type {}", c, number, t.frame,
                             static_cast<u32>(s.type()));
                return std::string(wrong.view());
            }
        }
        for (unsigned level = 1; level < 4; ++level)
            for (const auto& [number, t] : tlbs[c].tables[level])
                if (!is_table_now(t.frame, level, t.owner)) {
                    text::format(wrong, "cpu {}: walks frame {} as a level {} table", c, t.frame, level);
                    return std::string(wrong.view());
                }
    }
    return {};
}

}  // namespace xylem::host
