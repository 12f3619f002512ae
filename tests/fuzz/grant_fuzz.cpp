// SPDX-License-Identifier: MIT
// Three domains grant to each other, map, copy, transfer, change versions, and rewrite their tables at the worst moments.
// After every step: uses of entries equal the live handles, references of frames equal what holds them, and no mark is set on
// an entry that nobody uses.
#include <cstdlib>

#include "arch/host/memory.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/unit/core/grant/fakes.cpp"

namespace xylem::test {
namespace {

using fuzz::Input;

constexpr u32 domain_count = 3;
constexpr u32 pages_each = 4;
constexpr u32 refs = 16;  // reserved ones and others

void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
}

struct Game {
    World w;
    Input in;
    Domain* d[domain_count];
    Mfn pages[domain_count][pages_each];
    alignas(4096) u8 scratch[64] = {};

    explicit Game(Input i) : in(i) {
        for (u32 k = 0; k < domain_count; ++k) {
            d[k] = &w.add_domain(static_cast<u16>(k), {.max_frames = 2, .max_maptrack_frames = 1, .max_version = 2});
            for (Mfn& p : pages[k]) {
                p = w.page(*d[k]);
                (void)get_reference(*find_page(p), d[k]->id);  // the test's own: keeps it from being reused
            }
        }
        w.on_flush = w.on_preempt = [this] {
            if (in.byte() % 4 == 0) rewrite_entry();
        };
    }
    ~Game() {
        w.on_flush = w.on_preempt = nullptr;
        for (u32 k = 0; k < domain_count; ++k) w.remove_domain(*d[k]);
        while (!w.entries.empty()) w.clear_entry(w.entries.begin()->first.first, w.entries.begin()->first.second);
        require(w.device_access.empty(), "device access left");
        for (auto& row : pages)
            for (Mfn p : row) {
                require(state_of(p).references() == 1 && state_of(p).type_uses() == 0, "references at the end");
                put_reference(*find_page(p));
            }
    }

    Domain& any() { return *d[in.byte() % domain_count]; }
    u32 ref() { return in.byte() % refs; }
    Mfn any_page(u32 owner) { return pages[owner][in.byte() % pages_each]; }
    u64 address(const Domain& mapper) { return 0x10'0000 + u64{mapper.id.raw} * 0x10000 + in.byte() % 8 * 8u; }

    // A guest writes an entry. It leaves the marks of version 1 alone: setting them oneself harms only oneself.
    void rewrite_entry() {
        const u32 k = in.byte() % domain_count;
        const u32 r = ref();
        const u32 page_owner = in.byte() % 8 == 0 ? (k + 1) % domain_count : k;
        const u16 domid = static_cast<u16>(in.byte() % domain_count);
        // Mostly something that can be used.
        const u8 kind = in.byte();
        const u16 flags =
            static_cast<u16>(kind < 128 ? GTF_permit_access | (kind & GTF_readonly) : kind & (GTF_type_mask | GTF_readonly));
        const u64 mfn = any_page(page_owner).raw;
        if (d[k]->grants->version() == 1) {
            auto& e = entry_v1(*d[k], r);
            e.frame = static_cast<u32>(mfn);
            e.domid = domid;
            e.flags = static_cast<u16>((e.flags & (GTF_reading | GTF_writing)) | flags);
            return;
        }
        auto& e = entry_v2(*d[k], r);
        e.hdr.domid = domid;
        if ((flags & GTF_type_mask) == GTF_transitive) {
            const u32 next = in.byte() % (domain_count + 1);
            e.transitive.trans_domid = static_cast<u16>(next);
            e.transitive.gref = next < domain_count ? offered(*d[next], *d[k]) : ref();
            e.hdr.flags = flags;
        } else {
            e.full_page.frame = mfn;
            e.hdr.flags = flags;
            if (in.byte() % 4 == 0) {
                e.sub_page.page_off = static_cast<u16>(in.byte() * 17);
                e.sub_page.length = static_cast<u16>(in.byte() * 17);
                e.hdr.flags |= GTF_sub_page;
            }
        }
    }
    // A reference that is offered to that domain, or any.
    u32 offered(Domain& granter, const Domain& to) {
        const u32 start = ref();
        for (u32 i = 0; i < refs; ++i) {
            const u32 r = (start + i) % refs;
            const bool v1 = granter.grants->version() == 1;
            const u32 domid = v1 ? entry_v1(granter, r).domid : entry_v2(granter, r).hdr.domid;
            const u32 flags = v1 ? entry_v1(granter, r).flags : entry_v2(granter, r).hdr.flags;
            if (domid == to.id.raw && (flags & GTF_type_mask) != 0) return r;
        }
        return start;
    }
    void map_some() {
        gnttab_map_grant_ref ops[3]{};
        Domain& mapper = any();
        const u32 n = 1 + in.byte() % 3;
        for (u32 i = 0; i < n; ++i) {
            Domain& granter = any();
            ops[i].dom = granter.id.raw;
            ops[i].ref = in.byte() % 32 == 0 ? 5000 : offered(granter, mapper);
            ops[i].flags = in.byte() & 0x1fu;
            ops[i].host_addr = address(mapper);
        }
        const u8 mood = in.byte();
        w.refuse_map = mood % 16 == 1;
        w.refuse_device = mood % 16 == 2;
        grant_op(mapper, GNTTABOP_map_grant_ref, ops, n);
        w.refuse_map = w.refuse_device = false;
    }
    void unmap_some() {
        gnttab_unmap_grant_ref ops[4]{};
        Domain& mapper = any();
        const u32 n = 1 + in.byte() % 4;
        for (u32 i = 0; i < n; ++i) {
            const u8 what = in.byte();
            ops[i].handle = live_handle(mapper);
            const grant::Mapping m = mapper.grants->maptrack().peek(ops[i].handle);
            if ((what & 1) != 0) ops[i].host_addr = address(mapper);
            if ((what & 2) != 0) ops[i].dev_bus_addr = what < 16 ? what : bus_address(m);
            if ((what & 4) != 0 && m.granter != nullptr) ops[i].host_addr = address_of(mapper, m);
        }
        grant_op(mapper, GNTTABOP_unmap_grant_ref, ops, n);
    }
    u32 live_handle(Domain& mapper) {
        const u32 start = in.byte() % 16;
        for (u32 i = 0; i < 16; ++i)
            if (mapper.grants->maptrack().peek((start + i) % 16).granter != nullptr) return (start + i) % 16;
        return start;
    }
    static u64 bus_address(const grant::Mapping& m) {
        return m.granter == nullptr ? 0 : maddr_of(m.granter->grants->frame_in_use(m.ref)).raw;
    }
    // Where the mapper mapped that page, if its entry is still there.
    u64 address_of(const Domain& mapper, const grant::Mapping& m) {
        const Mfn mfn = m.granter->grants->frame_in_use(m.ref);
        for (const auto& [key, e] : w.entries)
            if (e.mfn == mfn && (key.first >> 16 & 0xf) == mapper.id.raw) return key.first;
        return 1;
    }
    void replace() {
        Domain& mapper = any();
        gnttab_unmap_and_replace op{};
        op.handle = live_handle(mapper);
        const grant::Mapping m = mapper.grants->maptrack().peek(op.handle);
        op.host_addr = m.granter != nullptr ? address_of(mapper, m) : address(mapper);
        op.new_addr = in.byte() % 3 == 0 ? 0 : address(mapper);
        if (op.new_addr != op.host_addr) grant_op(mapper, GNTTABOP_unmap_and_replace, &op);
    }
    void copy_some() {
        gnttab_copy ops[4]{};
        Domain& caller = any();
        const u32 n = 1 + in.byte() % 4;
        for (u32 i = 0; i < n; ++i) {
            ops[i].flags = in.byte() & 3;
            side(caller, ops[i].source, (ops[i].flags & 1) != 0);
            side(caller, ops[i].dest, (ops[i].flags & 2) != 0);
            ops[i].len = static_cast<u16>(in.byte() * 17);
        }
        grant_op(caller, GNTTABOP_copy, ops, n);
    }
    void side(Domain& caller, gnttab_copy::gnttab_copy_ptr& p, bool grant) {
        p.offset = static_cast<u16>(in.byte() % 4 == 0 ? in.byte() * 17 : 0);
        if (grant) {
            Domain& granter = any();
            p.domid = granter.id.raw;
            p.u.ref = offered(granter, caller);
        } else {
            p.domid = DOMID_SELF;
            p.u.gmfn = any_page(in.byte() % 8 == 0 ? in.byte() % domain_count : caller.id.raw).raw;
        }
    }
    void transfer() {
        Domain& from = any();
        const auto mfn = allocate_domain_pages(from, 0);
        if (!mfn) return;
        gnttab_transfer op{mfn->raw, any().id.raw, ref(), 0};
        grant_op(from, GNTTABOP_transfer, &op);
        if (op.status == GNTST_okay) (void)release_domain_page(*w.domains.at(op.domid), *find_page(*mfn));
    }
    void change() {
        Domain& x = any();
        const u8 what = in.byte();
        gnttab_set_version version{1u + what % 2};
        gnttab_swap_grant_ref swap{ref(), ref(), 0};
        switch (what / 2 % 4) {
            case 0: grant_op(x, GNTTABOP_set_version, &version); break;
            case 1:
                if (grant_op(x, GNTTABOP_swap_grant_ref, &swap) == 0 && swap.status == GNTST_okay)
                    std::swap(stale_[x.id.raw][swap.ref_a], stale_[x.id.raw][swap.ref_b]);
                break;
            case 2: (void)x.grants->grow(what / 8 % 4); break;
            default: w.clear_entry(address(x), what % 2 != 0); break;
        }
    }
    void step() {
        switch (in.byte() % 8) {
            case 0:
            case 1: rewrite_entry(); break;
            case 2:
            case 3: map_some(); break;
            case 4: unmap_some(); break;
            case 5: copy_some(); break;
            case 6:
                if (in.byte() % 2 != 0)
                    transfer();
                else
                    replace();
                break;
            default: change(); break;
        }
    }

    void check() {
        std::map<std::pair<Domain*, u32>, u64> uses;
        std::map<u64, u64> references;
        std::map<u64, u64> writable;
        for (Domain* mapper : d) {
            u32 live = 0;
            for (u32 h = 0; h < grant::Maptrack::per_frame; ++h) {
                const grant::Mapping m = mapper->grants->maptrack().peek(h);
                if (m.granter == nullptr) continue;
                ++live;
                const bool readonly = (m.parts & grant::part::readonly) != 0;
                u64& u = uses[{m.granter, m.ref}];
                if ((m.parts & grant::part::host) != 0) u += readonly ? grant::pin::host_read : grant::pin::host_write;
                if ((m.parts & grant::part::device) == 0) continue;
                u += readonly ? grant::pin::device_read : grant::pin::device_write;
                const u64 mfn = m.granter->grants->frame_in_use(m.ref).raw;
                ++references[mfn];
                if (!readonly) ++writable[mfn];
            }
            require(live == mapper->grants->maptrack().live(), "handles");
        }
        for (const auto& [key, e] : w.entries) {
            ++references[e.mfn.raw];
            if (!e.readonly) ++writable[e.mfn.raw];
        }
        for (Domain* granter : d) {
            const bool v1 = granter->grants->version() == 1;
            for (u32 r = 0; r < refs; ++r) {
                const auto found = uses.find({granter, r});
                const u64 expected = found == uses.end() ? 0 : found->second;
                require(granter->grants->uses_of(r) == expected, "uses of an entry");
                if (expected != 0) ++references[granter->grants->frame_in_use(r).raw];
                const u32 flags = v1 ? entry_v1(*granter, r).flags : status_v2(*granter, r);
                const bool transfer = v1 && (flags & GTF_type_mask) == GTF_accept_transfer;
                if (transfer) continue;
                // A transfer's bits mean something else; rewriting such an entry may leave them behind in version 1.
                if (expected == 0 && !stale_[granter->id.raw][r]) require((flags & GTF_reading) == 0, "mark without use");
                if ((expected & grant::pin::write_mask) == 0) require((flags & GTF_writing) == 0, "writing mark without use");
                if (!v1 && expected != 0) require((flags & GTF_reading) != 0, "use without mark");
            }
        }
        for (u32 k = 0; k < domain_count; ++k)
            for (Mfn p : pages[k]) {
                require(state_of(p).references() == 2 + references[p.raw], "references");
                require(state_of(p).type_uses() == writable[p.raw], "writable uses");
            }
        note_transfers();
    }
    // Entries of version 1 whose completed transfer left the bit that is also GTF_reading.
    void note_transfers() {
        for (Domain* x : d)
            for (u32 r = 0; r < refs; ++r) {
                const bool v1 = x->grants->version() == 1;
                if (v1 && (entry_v1(*x, r).flags & GTF_transfer_completed) == 0) stale_[x->id.raw][r] = false;
                if (v1 && (entry_v1(*x, r).flags & GTF_type_mask) == GTF_accept_transfer) stale_[x->id.raw][r] = true;
            }
    }
    bool stale_[domain_count][refs] = {};
};

}  // namespace
}  // namespace xylem::test

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, unsigned long size) {
    using namespace xylem::test;
    xylem::host::start_memory(xylem::host::few_frames);
    Game game({data, data + size});
    for (int steps = 0; steps < 400 && !game.in.done(); ++steps) {
        game.step();
        game.check();
    }
    return 0;
}
