// SPDX-License-Identifier: MIT
// What the moves of pv_fuzz have in common: the domains, and how a byte of input becomes a frame, an entry, an argument.
#pragma once

#include "arch/host/pv.hpp"

namespace xylem::host {

struct Step {
    u8 kind, a, b, c, d;
};

struct Board {
    static constexpr u32 cpus = 3, domains = 2, vcpus = 2, pages = 20;

    PvWorld world{cpus};

    // The domain that runs on this CPU, and the other one.
    PvGuest& mine() { return *world.guests[current_arch().vcpu->domain.id.raw]; }
    PvGuest& other() { return *world.guests[(current_arch().vcpu->domain.id.raw + 1) % domains]; }

    Mfn frame(u8 pick) {
        if (pick >= 250) return pick == 250 ? Mfn(3) : pick == 251 ? Mfn(0xfffff) : world.guests[pick & 1]->domain->shared_mfn;
        if (pick >= 225) return world.guests[pick & 1]->frames[pick % pages];
        return mine().frames[pick % pages];
    }
    u64 entry(u8 pick, u8 flags) {
        constexpr u64 sets[] = {7, 5, 3, 0x67, 0x65, 0x107, 0x87, 0x27, 0x1ff, u64{1} << 63 | 7, 0x207, 0x0, 0x17, 0x1f, 7, 7};
        return maddr_of(frame(pick)).raw | sets[flags & 15];
    }
    // Whose memory an operation is about: mostly the caller's own.
    u16 subject(u8 pick) { return pick >= 232 ? other().domain->id.raw : u16{DOMID_SELF}; }
    // Where the running vCPU has its arguments.
    static u64 arguments_at() { return PvGuest::va(PvGuest::arguments) + current_arch().vcpu->id.raw * room; }
    // A new frame takes a place among the guest's.
    static void keep(PvGuest& g, u32 pick, u64 mfn) {
        if (mfn < layout::frame_count()) g.frames[6 + pick % (pages - 6)] = Mfn(mfn);
    }
    static u64 va(u8 pick) { return PvGuest::va(pick % pages); }

    // Through the argument page where it is still mapped; a hypercall of a guest without one fails, which is fine.
    // The operation as the hypervisor left it (all zeroes where it cannot be read).
    template <class T, class Call>
    T with_arguments(const T& value, Call&& call) {
        static_assert(sizeof value <= room);
        T after{};
        const u64 at = arguments_at();
        if (current_arch().kernel_mode == 0) return after;
        (void)guest_store(at, &value, sizeof value);
        (void)call(at);
        (void)guest_load(at, &after, sizeof after);
        return after;
    }

   private:
    static constexpr u64 room = 256;
};

}  // namespace xylem::host
