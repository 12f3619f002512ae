// SPDX-License-Identifier: MIT
#include "core/irq/pirq_table.hpp"

#include <algorithm>

#include "base/panic.hpp"
#include "core/evtchn/events.hpp"

namespace xylem::irq {

PirqTable::~PirqTable() {
    Guard guard(lock_);
    for (Chunk* chunk : chunks_) heap_release(chunk, sizeof(Chunk));
}

PirqTable::Entry* PirqTable::find(Pirq pirq) {
    if (pirq.raw >= count_) return nullptr;
    Chunk* chunk = chunks_[pirq.raw / entries_per_chunk];
    return chunk == nullptr ? nullptr : &chunk->entries[pirq.raw % entries_per_chunk];
}

Result<PirqTable::Entry*> PirqTable::make(Pirq pirq) {
    if (pirq.raw >= count_ || closed_) return fail(XEN_EINVAL);
    Chunk*& chunk = chunks_[pirq.raw / entries_per_chunk];
    if (chunk == nullptr) {
        void* memory = heap_allocate(sizeof(Chunk));
        if (memory == nullptr) return fail(XEN_ENOMEM);
        chunk = ::new (memory) Chunk;
    }
    return &chunk->entries[pirq.raw % entries_per_chunk];
}

bool PirqTable::is_free(u32 pirq) {
    const Entry* e = find(Pirq(pirq));
    return e == nullptr || e->kind == Kind::free;
}

// `count` free numbers in a row above the GSIs', the highest there are.
Result<u32> PirqTable::choose(u32 count) {
    const u32 lowest = std::min(port::gsi_end(), count_);
    u32 run = 0;
    for (u32 pirq = count_; pirq-- > lowest;) {
        run = is_free(pirq) ? run + 1 : 0;
        if (run == count) return pirq;
    }
    return fail(XEN_ENOSPC);
}

Result<Pirq> PirqTable::map_gsi(Gsi gsi, i32 wanted) {
    if (gsi.raw >= max_gsis || !port::gsi_exists(gsi)) return fail(XEN_EINVAL);
    if (wanted < any) return fail(XEN_EINVAL);
    Guard guard(lock_);
    for (u32 pirq = 0; pirq < count_; ++pirq) {
        const Entry* e = find(Pirq(pirq));
        if (e == nullptr || e->kind != Kind::gsi || e->gsi != gsi) continue;
        if (wanted != any && static_cast<u32>(wanted) != pirq) return fail(XEN_EEXIST);
        return Pirq(pirq);
    }
    u32 pirq = static_cast<u32>(wanted);
    if (wanted == any) pirq = gsi.raw < count_ && is_free(gsi.raw) ? gsi.raw : TRY(choose(1));
    Entry* e = TRY(make(Pirq(pirq)));
    if (e->kind == Kind::message || e->kind == Kind::gsi) return fail(XEN_EEXIST);
    e->kind = Kind::gsi;
    e->gsi = gsi;
    e->line = nullptr;
    return Pirq(pirq);
}

Result<Pirq> PirqTable::map_messages(const MessageRequest& request, i32 wanted) {
    pci::Device* device = pci::find_device(request.device);
    if (device == nullptr || device->owner.load(std::memory_order_relaxed) != owner_.id.raw) return fail(XEN_ENODEV);
    const u32 count = request.count;
    if (wanted < any || count == 0 || count > 32) return fail(XEN_EINVAL);
    Guard guard(lock_);
    const u32 first = wanted == any ? TRY(choose(count)) : static_cast<u32>(wanted);
    for (u32 i = 0; i < count; ++i) {
        const Entry* e = TRY(make(Pirq(first + i)));
        if (e->kind == Kind::message || e->kind == Kind::gsi) return fail(XEN_EEXIST);
    }
    const u8 vector = TRY(lines().make_messages(*device, request.is_msix, request.index, count, request.bar));
    for (u32 i = 0; i < count; ++i) {
        Entry& e = *find(Pirq(first + i));
        e.kind = Kind::message;
        e.vector = static_cast<u8>(vector + i);
        e.block = static_cast<u8>(i == 0 ? count : 0);
        e.line = &lines().of_vector(e.vector);
    }
    return Pirq(first);
}

void PirqTable::unbind_entry(Entry& e) {
    if (e.binding.port == Port(0)) return;
    e.line->unbind(e.binding);
    set_end_bit(e.binding.pirq.raw, false);
    e.binding.port = Port(0);
}

void PirqTable::unmap_entry(u32 pirq, Entry& e) {
    const u32 block = e.kind == Kind::message ? e.block : 1;
    const u8 vector = e.vector;
    const bool messages = e.kind == Kind::message;
    for (u32 i = 0; i < block; ++i) {
        Entry& one = *find(Pirq(pirq + i));
        unbind_entry(one);
        one.kind = Kind::free;
        one.line = nullptr;
        one.block = 0;
    }
    if (messages) lines().free_messages(vector, block);
}

Result<> PirqTable::unmap(Pirq pirq) {
    Guard guard(lock_);
    Entry* e = find(pirq);
    if (e == nullptr || e->kind == Kind::free || (e->kind == Kind::message && e->block == 0)) return fail(XEN_EINVAL);
    unmap_entry(pirq.raw, *e);
    return {};
}

Result<Pirq> PirqTable::reserve(bool for_gsi) {
    Guard guard(lock_);
    u32 pirq = 0;
    if (for_gsi) {
        // The legacy interrupts' numbers are left to those who ask for them by name.
        const u32 end = std::min(port::gsi_end(), count_);
        for (pirq = std::min(16u, end); pirq < end && !is_free(pirq);) ++pirq;
        if (pirq == end) return fail(XEN_ENOSPC);
    } else {
        pirq = TRY(choose(1));
    }
    Entry* e = TRY(make(Pirq(pirq)));
    e->kind = Kind::reserved;
    return Pirq(pirq);
}

Result<> PirqTable::bind(Pirq pirq, Port port, bool will_share) {
    Guard guard(lock_);
    Entry* e = find(pirq);
    if (pirq.raw >= count_ || closed_) return fail(XEN_EINVAL);
    if (e == nullptr || (e->kind != Kind::gsi && e->kind != Kind::message)) return fail(XEN_EPERM);
    if (e->binding.port != Port(0)) return fail(XEN_EEXIST);
    if (e->kind == Kind::gsi) e->line = TRY(lines().of_gsi(e->gsi));
    e->binding.domain = &owner_;
    e->binding.pirq = pirq;
    e->binding.port = port;
    e->binding.shares = will_share;
    set_end_bit(pirq.raw, e->line->is_level());  // before the first interrupt
    if (Result<> bound = e->line->bind(e->binding); !bound) {
        e->binding.port = Port(0);
        set_end_bit(pirq.raw, false);
        return bound;
    }
    return {};
}

void PirqTable::unbind(Pirq pirq, Port port) {
    Guard guard(lock_);
    Entry* e = find(pirq);
    if (e != nullptr && e->binding.port == port) unbind_entry(*e);
}

void PirqTable::retarget(Pirq pirq, CpuId cpu) {
    Guard guard(lock_);
    Entry* e = find(pirq);
    if (e != nullptr && e->binding.port != Port(0)) e->line->retarget(cpu);
}

Result<> PirqTable::end(Pirq pirq) {
    Port unmask{0};
    {
        Guard guard(lock_);
        Entry* e = find(pirq);
        if (e == nullptr || e->kind == Kind::free) return fail(XEN_EINVAL);
        if (e->binding.port == Port(0)) return {};
        e->line->end(e->binding);
        if (end_unmasks_) unmask = e->binding.port;
    }
    if (unmask != Port(0)) evtchn::unmask(owner_, unmask);
    return {};
}

Result<u32> PirqTable::status(Pirq pirq) {
    if (pirq.raw >= count_) return fail(XEN_EINVAL);
    Guard guard(lock_);
    Entry* e = find(pirq);
    // Always; the map says exactly for which it is true.
    u32 flags = XENIRQSTAT_needs_eoi;
    if (e != nullptr && e->line != nullptr && e->line->listeners() > 1) flags |= XENIRQSTAT_shared;
    return flags;
}

void PirqTable::set_end_bit(u32 pirq, bool on) {
    if (!end_page_) return;
    u64& word = static_cast<u64*>(end_page_.address())[pirq / 64];
    const u64 bit = u64{1} << (pirq % 64);
    if (on)
        __atomic_fetch_or(&word, bit, __ATOMIC_SEQ_CST);
    else
        __atomic_fetch_and(&word, ~bit, __ATOMIC_SEQ_CST);
}

Result<> PirqTable::set_end_map(Gfn gfn, bool unmask) {
    static_assert(max_count <= page_size * 8);
    WritablePage page = TRY(WritablePage::get(owner_, gfn));
    Guard guard(lock_);
    if (end_page_) return fail(XEN_EBUSY);
    if (closed_) return fail(XEN_EINVAL);
    end_page_ = std::move(page);
    end_unmasks_ = unmask;
    for (u32 pirq = 0; pirq < count_; ++pirq) {
        const Entry* e = find(Pirq(pirq));
        set_end_bit(pirq, e != nullptr && e->binding.port != Port(0) && e->line->is_level());
    }
    return {};
}

void PirqTable::unmap_all() {
    WritablePage page;
    Guard guard(lock_);
    closed_ = true;
    for (u32 pirq = 0; pirq < count_; ++pirq) {
        Entry* e = find(Pirq(pirq));
        if (e != nullptr && e->kind != Kind::free && (e->kind != Kind::message || e->block != 0)) unmap_entry(pirq, *e);
    }
    page = std::move(end_page_);
}

Result<Gsi> PirqTable::gsi_of(Pirq pirq) {
    Guard guard(lock_);
    const Entry* e = find(pirq);
    if (e == nullptr || e->kind != Kind::gsi) return fail(XEN_EINVAL);
    return e->gsi;
}

void PirqTable::permit(Gsi gsi, bool allowed) {
    Guard guard(lock_);
    u64& word = permitted_[gsi.raw / 64];
    const u64 bit = u64{1} << (gsi.raw % 64);
    word = allowed ? word | bit : word & ~bit;
}

bool PirqTable::permitted(Gsi gsi) {
    if (owner_.is_hardware_domain) return true;
    Guard guard(lock_);
    return gsi.raw < max_gsis && (permitted_[gsi.raw / 64] >> (gsi.raw % 64) & 1) != 0;
}

void PirqTable::dump(text::Sink& out) {
    text::format(out, "d{}: pirqs\n", owner_.id);
    for (u32 pirq = 0; pirq < count_; ++pirq) {
        text::FixedText<120> line;
        {
            Guard guard(lock_);
            const Entry* e = find(Pirq(pirq));
            if (e == nullptr || e->kind == Kind::free) continue;
            text::format(line, "  {}: ", pirq);
            if (e->kind == Kind::gsi) text::format(line, "GSI {}", e->gsi);
            if (e->kind == Kind::message) text::format(line, "message, vector {:02x}", u32{e->vector});
            if (e->kind == Kind::reserved) line.write("reserved");
            if (e->binding.port != Port(0)) text::format(line, ", port {}", e->binding.port);
        }
        line.write("\n");
        out.write(line.view());
    }
}

bool PirqTable::is_consistent() {
    Guard guard(lock_);
    for (u32 pirq = 0; pirq < count_; ++pirq) {
        const Entry* e = find(Pirq(pirq));
        if (e == nullptr) continue;
        const bool bound = e->binding.port != Port(0);
        const bool mapped = e->kind == Kind::gsi || e->kind == Kind::message;
        if (bound && (!mapped || e->line == nullptr || e->line->listeners() == 0)) return false;
        if (!bound && e->binding.in_flight) return false;
    }
    return true;
}

// --- for the rest of the hypervisor

Result<> create_table(Domain& domain, u32 extra) {
    const u32 count = std::min(port::gsi_end() + std::min(extra, PirqTable::max_count), PirqTable::max_count);
    void* memory = heap_allocate(sizeof(PirqTable));
    if (memory == nullptr) return fail(XEN_ENOMEM);
    domain.pirqs = ::new (memory) PirqTable(domain, count);
    return {};
}

void unmap_all(Domain& domain) {
    if (domain.pirqs != nullptr) domain.pirqs->unmap_all();
}

void free_table(Domain& domain) {
    OwnPtr<PirqTable>(std::exchange(domain.pirqs, nullptr)).reset();
}

Result<> set_irq_permission(Domain& domain, Gsi gsi, bool allowed) {
    if (domain.pirqs == nullptr || gsi.raw >= max_gsis) return fail(XEN_EINVAL);
    domain.pirqs->permit(gsi, allowed);
    return {};
}

bool has_irq_permission(Domain& domain, Gsi gsi) {
    return domain.pirqs != nullptr && domain.pirqs->permitted(gsi);
}

Result<> bind_pirq(Domain& domain, Pirq pirq, Port port, bool will_share) {
    return domain.pirqs == nullptr ? fail(XEN_EINVAL) : domain.pirqs->bind(pirq, port, will_share);
}

void unbind_pirq(Domain& domain, Pirq pirq, Port port) {
    if (domain.pirqs != nullptr) domain.pirqs->unbind(pirq, port);
}

void retarget_pirq(Domain& domain, Pirq pirq, CpuId cpu) {
    if (domain.pirqs != nullptr) domain.pirqs->retarget(pirq, cpu);
}

void dump(Domain& domain, text::Sink& out) {
    if (domain.pirqs != nullptr) domain.pirqs->dump(out);
}

}  // namespace xylem::irq
