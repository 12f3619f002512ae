// SPDX-License-Identifier: MIT
// The moves of pv_fuzz that pass frames around: grants of every kind, memory given back and taken, event channels and their
// pages.
#pragma once

#include <map>

#include "core/evtchn/table.hpp"
#include "core/grant/table.hpp"
#include "tests/fuzz/pv_board.hpp"

namespace xylem::host {

class Sharing {
   public:
    static constexpr u32 moves = 10;

    explicit Sharing(Board& board) : b_(board) {}

    // Something to begin with: both domains grant frames to each other, would take some, and have channels between them and of
    // their own (domain 0 by the FIFO ABI); two frames of each are mapped nowhere.
    void prepare() {
        for (u32 i = 0; i < Board::domains; ++i) {
            const PvGuest& g = *b_.world.guests[i];
            const PvGuest& other = *b_.world.guests[1 - i];
            for (u32 page = Board::pages - 2; page < Board::pages; ++page) {
                g.words(PvGuest::l1)[page] = 0;
                put_writable(*find_page(g.frames[page]));
            }
            auto* entries = reinterpret_cast<grant_entry_v1_t*>(g.grant_table());
            for (u32 r = 4; r < refs; ++r) {
                constexpr u16 kinds[] = {GTF_permit_access, GTF_permit_access | GTF_readonly, GTF_accept_transfer};
                entries[r] = {kinds[r % std::size(kinds)], other.domain->id.raw, static_cast<u32>(g.frames[4 + r].raw)};
            }
            evtchn::Table& mine = *g.domain->events;
            evtchn::Table& theirs = *other.domain->events;
            const Port waits = *theirs.alloc_unbound(g.domain->id);
            bool ready = mine.bind_interdomain(theirs, waits) && mine.bind_ipi(VcpuId(1));
            if (i == 0)
                ready =
                    ready && mine.init_control(VcpuId(0), Gfn(g.frames[16].raw), 0) && mine.expand_array(Gfn(g.frames[17].raw));
            if (!ready) std::abort();
        }
    }

    void act(u32 move, const Step& s) {
        switch (move) {
            case 0: return offer(s);
            case 1: return map(s);
            case 2: return unmap(s);
            case 3: return replace(s);
            case 4: return copy(s);
            case 5: return transfer(s);
            case 6: return table(s);
            case 7: return reservation(s);
            case 8: return exchange(s);
            default: return events(s);
        }
    }

    // "" when event channels are well (the page check looks after grants).
    std::string check() {
        for (auto& g : b_.world.guests)
            if (!g->domain->events->is_consistent(true)) return "event channels of d" + std::to_string(g->domain->id.raw);
        return "";
    }

   private:
    struct Mapped {
        u64 host_addr, dev_bus_addr;
    };

    static constexpr u32 refs = 12;
    static u32 ref(u8 pick) { return pick % refs; }  // the reserved ones and some others
    u16 domid(u8 pick) {
        constexpr u16 special[] = {DOMID_SELF, DOMID_XEN, DOMID_IO, 77};
        return pick >= 250 ? special[pick & 3] : pick >= 225 ? b_.mine().domain->id.raw : b_.other().domain->id.raw;
    }
    // A linear address, or the machine address of an entry.
    u64 place(u8 pick, u8 at, bool of_entry) {
        return of_entry ? maddr_of(b_.frame(pick % 32 == 0 ? pick : u8{PvGuest::l1})).raw + at % Board::pages * u64{8}
                        : Board::va(at);
    }
    long grant(u64 command, u64 at) { return b_.world.call(__HYPERVISOR_grant_table_op, command, at, 1); }

    // The guest writes to its table as it likes.
    void offer(const Step& s) {
        grant::Table& t = *b_.mine().domain->grants;
        constexpr u16 kinds[] = {GTF_permit_access, GTF_permit_access | GTF_readonly, GTF_accept_transfer, GTF_invalid,
                                 GTF_permit_access, GTF_permit_access | GTF_sub_page, GTF_transitive,      0xffff};
        const u32 header = u32{kinds[s.d & 7]} | u32{domid(s.c)} << 16;
        u8* entry = b_.mine().grant_table() + ref(s.a) * (t.version() == 1 ? sizeof(grant_entry_v1_t) : sizeof(grant_entry_v2_t));
        const u64 frame = b_.frame(s.b).raw;
        if (t.version() == 1) {
            const u32 low = static_cast<u32>(frame);
            std::memcpy(entry + 4, &low, sizeof low);
        } else if ((s.d & 7) == 6) {
            const u32 words[2] = {s.b % 2 == 0 ? u32{b_.mine().domain->id.raw} : u32{b_.other().domain->id.raw}, ref(s.c)};
            std::memcpy(entry + 4, words, sizeof words);
        } else {
            const u32 part = u32{s.c} * 16 | u32{s.d} << 20;
            std::memcpy(entry + 4, &part, sizeof part);
            std::memcpy(entry + 8, &frame, sizeof frame);
        }
        __atomic_store_n(reinterpret_cast<u32*>(entry), header, __ATOMIC_RELEASE);
    }

    void map(const Step& s) {
        constexpr u32 flags[] = {GNTMAP_host_map,
                                 GNTMAP_host_map | GNTMAP_readonly,
                                 GNTMAP_host_map | GNTMAP_device_map,
                                 GNTMAP_device_map,
                                 GNTMAP_host_map | GNTMAP_contains_pte,
                                 GNTMAP_host_map | GNTMAP_contains_pte | GNTMAP_readonly,
                                 GNTMAP_device_map | GNTMAP_host_map | GNTMAP_readonly,
                                 ~0U};
        gnttab_map_grant_ref op{};
        op.flags = flags[s.d & 7];
        op.host_addr = place(s.c, s.a, (op.flags & GNTMAP_contains_pte) != 0);
        op.ref = ref(s.b);
        op.dom = domid(s.c);
        op.status = GNTST_general_error;
        const u64 asked = op.host_addr;
        const bool host = (op.flags & GNTMAP_host_map) != 0;
        const bool device = (op.flags & GNTMAP_device_map) != 0;
        std::map<u32, Mapped>& handles = handles_[b_.mine().domain->id.raw];
        op = b_.with_arguments(op, [&](u64 at) { return grant(GNTTABOP_map_grant_ref, at); });
        if (op.status == GNTST_okay) handles[op.handle] = {host ? asked : 0, device ? op.dev_bus_addr : 0};
    }
    // The handle's own addresses mostly; often with others, or one of two.
    Mapped of(u32 handle, const Step& s) {
        Mapped m = handles_[b_.mine().domain->id.raw][handle];
        if (s.d >= 240) m.host_addr = place(s.b, s.c, (s.d & 1) != 0);
        if (s.d >= 224 && s.d < 240) m.dev_bus_addr = maddr_of(b_.frame(s.b)).raw;
        if (s.d >= 192 && s.d < 208) m.host_addr = 0;
        if (s.d >= 208 && s.d < 224) m.dev_bus_addr = 0;
        return m;
    }
    void unmap(const Step& s) {
        gnttab_unmap_grant_ref op{};
        op.handle = s.a % 8;
        const Mapped m = of(op.handle, s);
        op.host_addr = m.host_addr;
        op.dev_bus_addr = m.dev_bus_addr;
        b_.with_arguments(op, [&](u64 at) { return grant(GNTTABOP_unmap_grant_ref, at); });
    }
    void replace(const Step& s) {
        gnttab_unmap_and_replace op{};
        op.handle = s.a % 8;
        op.host_addr = of(op.handle, s).host_addr;
        op.new_addr = s.b == 0 ? 0 : Board::va(s.c);
        b_.with_arguments(op, [&](u64 at) { return grant(GNTTABOP_unmap_and_replace, at); });
    }
    void copy(const Step& s) {
        gnttab_copy op{};
        op.flags = s.d & 3;
        op.len = static_cast<u16>(s.d * 17);
        op.source.offset = static_cast<u16>(s.c * 8);
        op.dest.offset = static_cast<u16>(s.c * 15);
        op.source.domid = (op.flags & GNTCOPY_source_gref) != 0 ? domid(s.c) : u16{DOMID_SELF};
        op.dest.domid = (op.flags & GNTCOPY_dest_gref) != 0 ? domid(s.c) : u16{DOMID_SELF};
        if ((op.flags & GNTCOPY_source_gref) != 0)
            op.source.u.ref = ref(s.a);
        else
            op.source.u.gmfn = b_.frame(s.a).raw;
        if ((op.flags & GNTCOPY_dest_gref) != 0)
            op.dest.u.ref = ref(s.b);
        else
            op.dest.u.gmfn = b_.frame(s.b).raw;
        b_.with_arguments(op, [&](u64 at) { return grant(GNTTABOP_copy, at); });
    }
    void transfer(const Step& s) {
        gnttab_transfer op{};
        op.mfn = b_.frame(s.a).raw;
        op.domid = domid(s.c);
        op.ref = ref(s.b);
        b_.with_arguments(op, [&](u64 at) { return grant(GNTTABOP_transfer, at); });
    }
    void table(const Step& s) {
        if (s.a < 100) {
            gnttab_set_version op{.version = s.a % 3u};
            b_.with_arguments(op, [&](u64 at) { return grant(GNTTABOP_set_version, at); });
        } else if (s.a < 160) {
            gnttab_swap_grant_ref op{};
            op.ref_a = ref(s.b);
            op.ref_b = ref(s.c);
            b_.with_arguments(op, [&](u64 at) { return grant(GNTTABOP_swap_grant_ref, at); });
        } else if (s.a < 200) {
            gnttab_setup_table op{};
            op.dom = DOMID_SELF;
            op.nr_frames = s.b % 4;
            op.frame_list.p = reinterpret_cast<xen_pfn_t*>(PvGuest::va(PvGuest::arguments) + 0xc00);
            b_.with_arguments(op, [&](u64 at) { return grant(GNTTABOP_setup_table, at); });
        } else {
            gnttab_get_status_frames op{};
            op.dom = DOMID_SELF;
            op.nr_frames = s.b % 4;
            op.frame_list.p = reinterpret_cast<uint64_t*>(PvGuest::va(PvGuest::arguments) + 0xc00);
            b_.with_arguments(op, [&](u64 at) { return grant(GNTTABOP_get_status_frames, at); });
        }
    }

    // A frame goes back, or a new one comes and takes a place among the guest's.
    void reservation(const Step& s) {
        struct {
            xen_memory_reservation r;
            u64 list[2];
        } op{};
        const u64 list_at = Board::arguments_at() + sizeof op.r;
        op.r.extent_start.p = reinterpret_cast<xen_pfn_t*>(list_at);
        op.r.nr_extents = 1 + s.d % 2;
        op.r.domid = b_.subject(s.d);
        const bool back = s.c % 2 == 0;
        for (u8 i = 0; i < 2; ++i) op.list[i] = back ? b_.frame(static_cast<u8>(s.a + i)).raw : s.b;
        PvGuest& g = op.r.domid == DOMID_SELF ? b_.mine() : b_.other();
        long done = 0;
        op = b_.with_arguments(op, [&](u64 at) {
            return done = b_.world.call(__HYPERVISOR_memory_op, back ? XENMEM_decrease_reservation : XENMEM_populate_physmap, at);
        });
        for (u32 i = 0; !back && i < std::size(op.list) && i < done; ++i) Board::keep(g, s.b + i, op.list[i]);
    }
    void exchange(const Step& s) {
        struct {
            xen_memory_exchange x;
            u64 in[2], out[2];
        } op{};
        const u64 at_lists = Board::arguments_at() + sizeof op.x;
        op.x.in.extent_start.p = reinterpret_cast<xen_pfn_t*>(at_lists);
        op.x.out.extent_start.p = reinterpret_cast<xen_pfn_t*>(at_lists + sizeof op.in);
        op.x.in.nr_extents = 1 + s.d % 2;
        op.x.out.extent_order = s.d % 4 == 1 ? 1 : 0;
        op.x.out.nr_extents = op.x.in.nr_extents >> op.x.out.extent_order;
        op.x.in.domid = op.x.out.domid = b_.subject(s.d);
        for (u8 i = 0; i < 2; ++i) op.in[i] = b_.frame(static_cast<u8>(s.a + i)).raw;
        op.out[0] = op.out[1] = s.b;
        PvGuest& g = op.x.in.domid == DOMID_SELF ? b_.mine() : b_.other();
        op = b_.with_arguments(op, [&](u64 at) { return b_.world.call(__HYPERVISOR_memory_op, XENMEM_exchange, at); });
        for (u32 i = 0; i < 2 && i < op.x.nr_exchanged; ++i) {
            const u64 mfn = op.x.out.extent_order == 1 ? op.out[0] + i : op.out[i];
            Board::keep(g, s.b + i, mfn);
        }
    }

    template <class T>
    void event(u64 command, const T& op) {
        b_.with_arguments(op, [&](u64 at) { return b_.world.call(__HYPERVISOR_event_channel_op, command, at); });
    }
    void events(const Step& s) {
        const u32 port = s.b % 10;
        switch (s.a % 14) {
            case 0: return event(EVTCHNOP_alloc_unbound, evtchn_alloc_unbound{DOMID_SELF, domid(s.c), 0});
            case 1: return event(EVTCHNOP_bind_interdomain, evtchn_bind_interdomain{domid(s.c), port, 0});
            case 2: return event(EVTCHNOP_bind_virq, evtchn_bind_virq{s.c % 8u, s.d % 3u, 0});
            case 3: return event(EVTCHNOP_bind_ipi, evtchn_bind_ipi{s.c % 3u, 0});
            case 4: return event(EVTCHNOP_close, evtchn_close{port});
            case 5: return event(EVTCHNOP_send, evtchn_send{port});
            case 6: return event(EVTCHNOP_unmask, evtchn_unmask{port});
            case 7: return event(EVTCHNOP_bind_vcpu, evtchn_bind_vcpu{port, s.c % 3u});
            case 8: return event(EVTCHNOP_set_priority, evtchn_set_priority{port, s.c % 20u});
            case 9: return event(EVTCHNOP_reset, evtchn_reset{DOMID_SELF});
            case 10:
            case 11: {
                evtchn_init_control op{};
                op.control_gfn = b_.frame(s.b).raw;
                op.offset = s.c * 16u;
                op.vcpu = s.d % 3u;
                return event(EVTCHNOP_init_control, op);
            }
            case 12: return event(EVTCHNOP_expand_array, evtchn_expand_array{b_.frame(s.b).raw});
            default: {
                vcpu_register_vcpu_info op{};
                op.mfn = b_.frame(s.b).raw;
                op.offset = s.c * 16u;
                b_.with_arguments(
                    op, [&](u64 at) { return b_.world.call(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, s.d % 3u, at); });
            }
        }
    }

    Board& b_;
    std::map<u32, Mapped> handles_[Board::domains];  // what each domain was told of its mappings
};

}  // namespace xylem::host
