// SPDX-License-Identifier: MIT
#include "arch/x86/pv/page_check.hpp"

#include "arch/x86/domain/arch_domain.hpp"
#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/pv/pte.hpp"
#include "arch/x86/pv/segments.hpp"
#include "core/domain/domain_list.hpp"
#include "core/evtchn/table.hpp"
#include "core/grant/table.hpp"
#include "core/mem/heap.hpp"

namespace xylem::pv {
namespace {

struct Held {
    u32 references;
    u32 uses;
};

class Audit {
   public:
    Audit(text::Sink& out, Held* held) : out_(out), held_(held) {}

    void count_all() {
        const u64 frames = layout::frame_count();
        for (u64 i = 0; i < frames; ++i) count_frame(Mfn(i));
        for_each_domain([this](Domain& d) { count_domain(d); });
    }

    bool compare() {
        const u64 frames = layout::frame_count();
        for (u64 i = 0; i < frames; ++i) compare_frame(Mfn(i));
        if (wrong_ == 0)
            text::format(out_, "page check: ok, {} frames, {} tables\n", used_, tables_);
        else
            text::format(out_, "page check: {} of {} frames are wrong\n", wrong_, used_);
        return wrong_ == 0;
    }

   private:
    static bool is_counted(PageState s) {
        return !s.has(PageState::free_bit) && !s.has(PageState::io_bit) && s.references() != 0;
    }

    void hold(Mfn mfn, bool with_use) {
        if (mfn.raw >= layout::frame_count()) return complain(mfn, "is held, but is no memory");
        ++held_[mfn.raw].references;
        if (with_use) ++held_[mfn.raw].uses;
    }

    void complain(Mfn mfn, std::string_view what) {
        if (++wrong_ > most_lines) return;
        text::format(out_, "page check: frame {:x} {}\n", mfn.raw, what);
    }

    void count_frame(Mfn mfn) {
        const PageInfo& page = *find_page(mfn);
        const PageState s = page.load();
        if (!is_counted(s)) return;
        ++used_;
        if (s.has(PageState::owned_bit)) hold(mfn, false);
        if (page.owner() == domid_xen) hold(mfn, true);
        if (s.has(PageState::pinned_bit)) hold(mfn, true);
        if (!is_page_table(s.type()) || s.type_uses() == 0 || !s.has(PageState::validated_bit)) return;
        ++tables_;
        count_table(mfn, static_cast<unsigned>(s.type()));
    }

    void count_table(Mfn mfn, unsigned level) {
        const u64* table = table_of(mfn);
        for (unsigned i = 0; i < 512; ++i) {
            const u64 entry = table[i];
            if (!is_present(entry) || (level == 4 && is_hypervisor_slot(i))) continue;
            if ((entry & bits::user) == 0) complain(mfn, "has an entry without the user bit");
            if (level == 1)
                count_mapping(mfn, entry);
            else
                count_link(mfn, level, entry);
        }
    }

    void count_mapping(Mfn table, u64 entry) {
        if ((entry & bits::global) != 0) complain(table, "maps a page globally: it would survive flushes");
        PageInfo* page = find_page(frame_of(entry));
        if (page == nullptr || page->load().has(PageState::io_bit)) return;
        const bool writable = (entry & bits::writable) != 0;
        hold(frame_of(entry), writable);
        if (writable && page->load().type() != PageType::writable)
            complain(frame_of(entry), "is mapped writable, but is a page table or descriptor page");
    }

    void count_link(Mfn table, unsigned level, u64 entry) {
        const PageInfo* page = find_page(frame_of(entry));
        hold(frame_of(entry), true);
        if (page == nullptr) return;
        const PageState s = page->load();
        if (s.type() != static_cast<PageType>(level - 1) || !s.has(PageState::validated_bit))
            complain(frame_of(entry), "is linked as a page table of another level than it is of");
        if (page->owner() != find_page(table)->owner()) complain(frame_of(entry), "is a page table of somebody else's");
    }

    void count_domain(Domain& d) {
        if (d.shared != nullptr) hold(d.shared_mfn, true);
        for (u32 i = 0; i < d.max_vcpus; ++i)
            if (const Vcpu* v = d.vcpus[i]; v != nullptr) count_vcpu(d, *v);
        if (d.grants != nullptr) count_grants(*d.grants);
    }

    void count_vcpu(const Domain& d, const Vcpu& v) {
        if (v.info_page) hold(v.info_page.mfn(), true);
        if (v.arch == nullptr) return;
        if (v.arch->kernel_root != 0) hold(mfn_of(Maddr(v.arch->kernel_root)), true);
        if (v.arch->user_root != 0) hold(mfn_of(Maddr(v.arch->user_root)), true);
        for (u64 mfn : v.arch->gdt_frames)
            if (mfn != 0) hold(Mfn(mfn), true);
        if (d.arch == nullptr) return;
        const u64 first = v.id.raw * window_pages + window_pages / 2;
        const u64* ldt = d.arch->window_tables[first / 512];
        for (u64 i = 0; ldt != nullptr && i < window_pages / 2; ++i)
            if (is_present(ldt[(first + i) % 512])) hold(frame_of(ldt[(first + i) % 512]), true);
    }

    void count_grants(grant::Table& table) {
        table.for_each_own_frame([this](Mfn mfn) { hold(mfn, true); });
        table.for_each_frame_in_use([this](Mfn mfn) { hold(mfn, false); });
        // What the domain mapped of others for its devices has no page-table entry: the handle holds it.
        const u32 limit = table.maptrack().limit();
        for (grant::Handle handle = 0; handle < limit; ++handle) {
            const grant::Mapping m = table.maptrack().peek(handle);
            if (m.granter != nullptr && (m.parts & grant::part::device) != 0)
                hold(m.granter->grants->frame_in_use(m.ref), (m.parts & grant::part::readonly) == 0);
        }
    }

    // Pages that event channels and interrupts keep mapped know only themselves: references with a use as writable memory.
    static bool may_have_more(const PageInfo& page, PageState s) {
        if (s.type() != PageType::writable) return false;
        const DomainRef d = find_domain(page.owner());
        return d && (d->is_hardware_domain || (d->events != nullptr && d->events->uses_fifo()));
    }

    void compare_frame(Mfn mfn) {
        const PageInfo& page = *find_page(mfn);
        const PageState s = page.load();
        const Held h = held_[mfn.raw];
        if (!is_counted(s)) {
            if (h.references != 0) complain(mfn, "is free, but somebody holds it");
            return;
        }
        const u64 more = s.references() - h.references;
        if (s.references() == h.references && s.type_uses() == h.uses) return;
        if (s.references() > h.references && s.type_uses() - h.uses == more && may_have_more(page, s)) return;
        if (++wrong_ > most_lines) return;
        text::format(out_, "page check: frame {:x} of d{}, type {}{}: {} references where {} are held, {} uses where {} are\n",
                     mfn.raw, page.owner(), static_cast<u32>(s.type()), s.has(PageState::pinned_bit) ? ", pinned" : "",
                     s.references(), h.references, s.type_uses(), h.uses);
    }

    static constexpr u64 most_lines = 16;
    text::Sink& out_;
    Held* held_;
    u64 used_ = 0;
    u64 tables_ = 0;
    u64 wrong_ = 0;
};

}  // namespace

bool page_check(text::Sink& out) {
    const u64 bytes = layout::frame_count() * sizeof(Held);
    auto* held = static_cast<Held*>(heap_allocate(bytes));
    if (held == nullptr) {
        text::format(out, "page check: no memory for {} bytes\n", bytes);
        return false;
    }
    Audit audit(out, held);
    audit.count_all();
    const bool ok = audit.compare();
    heap_release(held, bytes);
    return ok;
}

}  // namespace xylem::pv
