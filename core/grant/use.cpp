// SPDX-License-Identifier: MIT
// Beginning and ending the use of an entry: the only code that believes a shared entry, once, and marks it.
#include "base/panic.hpp"
#include "core/grant/table.hpp"
#include "core/port/machine.hpp"

namespace xylem::grant {

namespace {
// A granter that rewrites its entry all the time could keep us here; it gets so many attempts.
constexpr int max_attempts = 8;
}  // namespace

u16& Table::status_of(u32 ref) const {
    return reinterpret_cast<u16*>(status_[ref / statuses_per_frame].address)[ref % statuses_per_frame];
}

Table::Shared Table::shared(u32 ref) const {
    if (version_ == 1) {
        u8* e = frames_[ref / entries_per_frame_v1].address + ref % entries_per_frame_v1 * sizeof(grant_entry_v1_t);
        return {reinterpret_cast<u32*>(e), reinterpret_cast<u16*>(e), e};
    }
    u8* e = frames_[ref / entries_per_frame_v2].address + ref % entries_per_frame_v2 * sizeof(grant_entry_v2_t);
    return {reinterpret_cast<u32*>(e), &status_of(ref), e};
}

namespace {
// Whether an entry with this header lets `user` do it.
Status permits(Header h, DomId user, bool write, Use use, u32 version) {
    const bool direct = h.type() == GTF_permit_access;
    const bool transitive = version == 2 && use == Use::copy && h.type() == GTF_transitive;
    if ((!direct && !transitive) || h.domid() != user) return GNTST_general_error;
    if (version == 2 && use == Use::map && h.has(GTF_sub_page)) return GNTST_general_error;
    if (write && h.has(GTF_readonly)) return GNTST_general_error;
    return GNTST_okay;
}
}  // namespace

// Version 1 keeps the marks beside the granter's own bits: permission and mark are one compare-and-swap.
Status Table::mark_v1(const Shared& s, DomId user, bool write, Use use, Header& seen) {
    seen = load_header(s.header);
    for (int attempt = 0; attempt < max_attempts; ++attempt) {
        if (Status bad = permits(seen, user, write, use, 1)) return bad;
        const u32 wanted = seen.word | GTF_reading | (write ? GTF_writing : 0);
        if (swap_header(s.header, seen, wanted)) return GNTST_okay;
    }
    return GNTST_general_error;
}

// Version 2 has the marks apart: set them, then look whether the permission still stands. The granter does the opposite
// (withdraw, then look at the marks), so one of the two sees the other.
Status Table::mark_v2(u32 ref, const Shared& s, DomId user, bool write, Use use, Header& seen) {
    const Header before = load_header(s.header);
    if (Status bad = permits(before, user, write, use, 2)) return bad;
    const u64 pins = active(ref).pins;
    set_flags(s.marks, GTF_reading | (write ? GTF_writing : 0));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    seen = load_header(s.header);
    Status bad = permits(seen, user, write, use, 2);
    // A change of kind between the looks (sub-page or not, transitive or not) would tear the snapshot.
    if (bad == GNTST_okay && (seen.word ^ before.word) & (GTF_type_mask | GTF_sub_page)) bad = GNTST_general_error;
    if (bad != GNTST_okay) {
        if ((pins & pin::write_mask) == 0) clear_flags(s.marks, GTF_writing);
        if (pins == 0) clear_flags(s.marks, GTF_reading);
    }
    return bad;
}

Status Table::mark(u32 ref, const Shared& s, DomId user, bool write, Use use, Header& seen) {
    return version_ == 1 ? mark_v1(s, user, write, use, seen) : mark_v2(ref, s, user, write, use, seen);
}

// Reads the body of a marked entry, each field once, and takes the page's reference.
Status Table::snapshot(const Shared& s, Header seen, Use use, Active& into) {
    Active a;
    a.user = seen.domid();
    u64 gfn = 0;
    if (version_ == 1) {
        gfn = load_once(reinterpret_cast<grant_entry_v1_t*>(s.entry)->frame);
    } else {
        const auto& e = *reinterpret_cast<grant_entry_v2_t*>(s.entry);
        if (seen.type() == GTF_transitive) {
            if (use != Use::copy) return GNTST_general_error;
            a.kind = Grant::Kind::transitive;
            a.frame = load_once(e.transitive.gref) | u64{load_once(e.transitive.trans_domid)} << 32;
            into = a;
            return GNTST_okay;
        }
        if (seen.has(GTF_sub_page)) {
            a.kind = Grant::Kind::part_of_page;
            a.start = load_once(e.sub_page.page_off);
            a.length = load_once(e.sub_page.length);
            gfn = load_once(e.sub_page.frame);
        } else {
            gfn = load_once(e.full_page.frame);
        }
    }
    const Mfn mfn = port::gfn_to_mfn(owner_, Gfn(gfn));
    PageInfo* page = find_page(mfn);
    if (page == nullptr || !get_reference(*page, owner_.id)) return GNTST_general_error;
    a.frame = mfn.raw;
    into = a;
    return GNTST_okay;
}

Status Table::begin_use(u32 ref, DomId user, u64 kinds, Use use, Grant& out) {
    const bool write = (kinds & pin::write_mask) != 0;
    Guard guard(lock_);
    if (closed_) return GNTST_bad_domain;
    if (ref >= entries()) return GNTST_bad_gntref;
    Active& a = active(ref);
    if (a.pins != 0) {
        // In use already: our record decides, the shared entry is only asked for a right the record does not have yet.
        if (a.user != user || (use == Use::map && a.kind != Grant::Kind::page)) return GNTST_general_error;
        if (use == Use::nested_copy && a.kind == Grant::Kind::transitive) return GNTST_general_error;
        if (!pin::fits(a.pins, kinds)) return GNTST_no_space;
        if (write && (a.pins & pin::write_mask) == 0) {
            Header seen;
            if (Status bad = mark(ref, shared(ref), user, true, use, seen)) return bad;
        }
    } else {
        const Shared s = shared(ref);
        Header seen;
        if (Status bad = mark(ref, s, user, write, use, seen)) return bad;
        if (Status bad = snapshot(s, seen, use, a)) {
            clear_flags(s.marks, GTF_reading | GTF_writing);
            return bad;
        }
        ++in_use_;
    }
    a.pins += kinds;
    out = {a.kind, Mfn(a.frame), a.start, a.length, domid_invalid, 0};
    if (a.kind == Grant::Kind::transitive) {
        out.mfn = invalid_mfn;
        out.next_domain = DomId(static_cast<u16>(a.frame >> 32));
        out.next_ref = static_cast<u32>(a.frame);
    }
    return GNTST_okay;
}

void Table::end_use(u32 ref, u64 kinds) {
    PageInfo* unused = nullptr;
    {
        Guard guard(lock_);
        Active& a = active(ref);
        const u64 before = a.pins;
        a.pins -= kinds;
        const bool last_write = (before & pin::write_mask) != 0 && (a.pins & pin::write_mask) == 0;
        const u32 marks = (last_write ? GTF_writing : 0) | (a.pins == 0 ? GTF_reading : 0);
        if (marks != 0) clear_flags(shared(ref).marks, marks);
        if (a.pins == 0) {
            --in_use_;
            if (a.kind != Grant::Kind::transitive) unused = find_page(Mfn(a.frame));
        }
    }
    if (unused != nullptr) put_reference(*unused);
}

// Stable without the lock while the caller's pin lasts: the record is written only when pins leave zero.
Mfn Table::frame_in_use(u32 ref) const {
    return Mfn(active(ref).frame);
}

u64 Table::uses_of(u32 ref) {
    Guard guard(lock_);
    return ref < entries() ? active(ref).pins : 0;
}

Status Table::swap(u32 a, u32 b) {
    Guard guard(lock_);
    if (a >= entries() || b >= entries()) return GNTST_bad_gntref;
    if (active(a).pins != 0 || active(b).pins != 0) return GNTST_eagain;
    if (a == b) return GNTST_okay;
    u8* x = shared(a).entry;
    u8* y = shared(b).entry;
    const usize size = version_ == 1 ? sizeof(grant_entry_v1_t) : sizeof(grant_entry_v2_t);
    for (usize i = 0; i < size; ++i) std::swap(x[i], y[i]);
    return GNTST_okay;
}

// --- page transfer

Status Table::commit_transfer(u32 ref, DomId from, u64& gfn) {
    Guard guard(lock_);
    if (closed_) return GNTST_bad_domain;
    if (ref >= entries()) return GNTST_bad_gntref;
    if (active(ref).pins != 0) return GNTST_general_error;
    const Shared s = shared(ref);
    Header h = load_header(s.header);
    for (int attempt = 0; attempt < max_attempts; ++attempt) {
        // Exactly a fresh offer: neither committed nor completed.
        if (h.flags() != GTF_accept_transfer || h.domid() != from) return GNTST_general_error;
        if (!swap_header(s.header, h, h.word | GTF_transfer_committed)) continue;
        gfn = version_ == 1 ? load_once(reinterpret_cast<grant_entry_v1_t*>(s.entry)->frame)
                            : load_once(reinterpret_cast<grant_entry_v2_t*>(s.entry)->full_page.frame);
        return GNTST_okay;
    }
    return GNTST_general_error;
}

void Table::cancel_transfer(u32 ref) {
    Guard guard(lock_);
    if (ref < entries()) clear_flags(reinterpret_cast<u16*>(shared(ref).header), GTF_transfer_committed);
}

void Table::complete_transfer(u32 ref, Mfn mfn) {
    Guard guard(lock_);
    if (ref >= entries()) return;  // the domain changed versions meanwhile
    const Shared s = shared(ref);
    if (version_ == 1)
        store_once(reinterpret_cast<grant_entry_v1_t*>(s.entry)->frame, static_cast<u32>(mfn.raw));
    else
        store_once(reinterpret_cast<grant_entry_v2_t*>(s.entry)->full_page.frame, mfn.raw);
    set_flags(reinterpret_cast<u16*>(s.header), GTF_transfer_completed);  // after the frame: its store is a barrier
}

}  // namespace xylem::grant
