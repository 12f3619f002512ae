// SPDX-License-Identifier: MIT
#pragma once

#include "core/irq/line.hpp"
#include "core/irq/pirq.hpp"
#include "core/mem/pages.hpp"

namespace xylem::irq {

// What map_pirq wants.
struct MessageRequest {
    Sbdf device;
    bool is_msix = false;
    u32 index = 0;  // MSI-X
    u32 count = 1;  // MSI; a power of two
    u64 bar = 0;
};

// A domain's pirqs. Numbers below gsi_end() are GSIs' own; the others are handed out from the top downwards.
class PirqTable {
   public:
    PirqTable(Domain& owner, u32 count) : owner_(owner), count_(count) {}
    // Nothing is mapped.
    ~PirqTable();
    PirqTable(const PirqTable&) = delete;

    static constexpr i32 any = -1;

    // `wanted` or `any`. The pirq that the GSI has now. XEN_EINVAL: no such GSI or pirq; XEN_EEXIST: the pirq or the GSI is
    // mapped otherwise. XEN_ENOSPC, XEN_ENOMEM.
    Result<Pirq> map_gsi(Gsi gsi, i32 wanted);
    // The first of `count` pirqs in a row. Errors of Lines::make_messages(); XEN_ENODEV also where the device is not the
    // domain's.
    Result<Pirq> map_messages(const MessageRequest& request, i32 wanted);
    // Unbinds it, too. Of several messages the first stands for all. XEN_EINVAL: not mapped.
    Result<> unmap(Pirq pirq);
    Result<Pirq> reserve(bool for_gsi);  // PHYSDEVOP_get_free_pirq: XEN_ENOSPC, XEN_ENOMEM

    Result<> bind(Pirq pirq, Port port, bool will_share);
    void unbind(Pirq pirq, Port port);
    void retarget(Pirq pirq, CpuId cpu);

    // PHYSDEVOP_eoi, PHYSDEVOP_irq_status_query: XEN_EINVAL.
    Result<> end(Pirq pirq);
    Result<u32> status(Pirq pirq);
    // PHYSDEVOP_pirq_eoi_gmfn: XEN_EBUSY, XEN_EINVAL. `unmask`: end() also unmasks the event channel (v1).
    Result<> set_end_map(Gfn gfn, bool unmask);

    // The domain dies: no new ones, then everything is unmapped.
    void unmap_all();

    // The GSI behind a pirq. XEN_EINVAL: there is none.
    Result<Gsi> gsi_of(Pirq pirq);
    void permit(Gsi gsi, bool allowed);
    bool permitted(Gsi gsi);
    u32 count() const { return count_; }
    void dump(text::Sink& out);
    // Tests: bindings and mappings agree.
    bool is_consistent();

   private:
    enum class Kind : u8 { free, reserved, gsi, message };
    struct Entry {
        Kind kind = Kind::free;
        u8 vector = 0;  // of messages
        u8 block = 0;   // messages of which this is the first; 0 for the others
        Gsi gsi;
        Line* line = nullptr;  // set for `message`; for `gsi` once bound
        Binding binding;
    };
    static constexpr u32 entries_per_chunk = 16;
    struct Chunk {
        std::array<Entry, entries_per_chunk> entries;
    };
    static constexpr u32 max_chunks = 128;

   public:
    static constexpr u32 max_count = entries_per_chunk * max_chunks;

   private:
    Entry* find(Pirq pirq) XYLEM_REQUIRES(lock_);          // null: never used
    Result<Entry*> make(Pirq pirq) XYLEM_REQUIRES(lock_);  // XEN_EINVAL, XEN_ENOMEM
    bool is_free(u32 pirq) XYLEM_REQUIRES(lock_);
    Result<u32> choose(u32 count) XYLEM_REQUIRES(lock_);
    void unbind_entry(Entry& entry) XYLEM_REQUIRES(lock_);
    void unmap_entry(u32 pirq, Entry& entry) XYLEM_REQUIRES(lock_);
    void set_end_bit(u32 pirq, bool on) XYLEM_REQUIRES(lock_);

    Domain& owner_;
    const u32 count_;
    Spinlock lock_;
    bool closed_ XYLEM_GUARDED_BY(lock_) = false;
    bool end_unmasks_ XYLEM_GUARDED_BY(lock_) = false;
    std::array<Chunk*, max_chunks> chunks_ XYLEM_GUARDED_BY(lock_){};
    WritablePage end_page_ XYLEM_GUARDED_BY(lock_);  // bit per pirq: its end has to be told
    std::array<u64, max_gsis / 64> permitted_ XYLEM_GUARDED_BY(lock_){};
};

}  // namespace xylem::irq
