// SPDX-License-Identifier: MIT
// dom0's tools gone wild: domctl, sysctl, memory_op, foreign mappings and pins with any arguments, on domains that come and go.
// Whatever they do, the page check must be content, and everything must be given back in the end.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "arch/host/memory.hpp"
#include "arch/host/pv.hpp"
#include "arch/x86/pv/pte.hpp"
#include "core/domain/domain_list.hpp"
#include "tests/fuzz/input.hpp"

namespace xylem::host {
namespace {

using fuzz::Input;

constexpr u32 pages = 32;

class Game {
   public:
    explicit Game(Input in) : in_(in), dom0_(world_.add_guest(2, pages)) {
        (void)world_.add_guest(1, 12);
        world_.run(dom0_);
    }

    void play() {
        for (u32 n = 0; n < 80 && !in_.done(); ++n) {
            act();
            if (const std::string wrong = world_.check(); !wrong.empty()) {
                std::fprintf(stderr, "after step %u: %s\n", n, wrong.c_str());
                std::abort();
            }
        }
    }

   private:
    static constexpr u64 va(u32 page) { return PvGuest::va(page); }
    u16 domain() {
        const u8 pick = in_.byte();
        if (pick >= 240)
            return static_cast<u16>(pick == 240 ? DOMID_SELF : pick == 241 ? DOMID_XEN : pick == 242 ? DOMID_IO : 0xffff);
        const DomainRef d = next_domain(DomId(static_cast<u16>(newest_ - std::min<u32>(pick % 4, newest_))));
        return pick < 200 && d ? d->id.raw : static_cast<u16>(pick % 4);
    }
    // A number that means something somewhere: small, an address, a frame of anybody's, anything.
    u64 number() {
        const u8 pick = in_.byte();
        switch (pick % 8) {
            case 0: return in_.byte() % 4;
            case 1: return in_.byte();
            case 2: return va(8 + in_.byte() % 16) + in_.byte() % 3 * 8;
            case 3: return dom0_.frames[in_.byte() % pages].raw;
            case 4: return (in_.byte() * u64{251} + in_.byte()) % (layout::frame_count() + 8);
            case 5: return ~u64{0} >> (in_.byte() % 64);
            case 6: return u64{1} << (in_.byte() % 64);
            default: return frames_[in_.byte() % std::size(frames_)];
        }
    }
    template <class T>
    void scribble(T& to, usize from) {
        for (u8 changes = in_.byte() % 6; changes > 0; --changes) {
            const usize at = from + in_.byte() % ((sizeof to - from) / 4) * 4;
            const u64 value = number();
            std::memcpy(reinterpret_cast<u8*>(&to) + at, &value, std::min<usize>(sizeof to - at, in_.byte() % 2 != 0 ? 8 : 4));
        }
    }
    template <class T>
    T argument() {
        T value;
        std::memcpy(&value, dom0_.words(PvGuest::arguments), sizeof value);
        return value;
    }

    void domctl() {
        xen_domctl op{};
        op.cmd = in_.byte() % 90;
        // What lets vCPUs run needs a processor to run them on.
        if (op.cmd == XEN_DOMCTL_unpausedomain || op.cmd == XEN_DOMCTL_resumedomain) op.cmd = XEN_DOMCTL_createdomain;
        if (op.cmd == 0) op.cmd = XEN_DOMCTL_destroydomain;
        op.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
        op.domain = domain();
        if (op.cmd == XEN_DOMCTL_createdomain) {
            op.domain = 0;
            op.u.createdomain.max_vcpus = 1 + in_.byte() % 2;
            op.u.createdomain.max_evtchn_port = 63;
            op.u.createdomain.max_grant_frames = op.u.createdomain.max_maptrack_frames = 1;
            op.u.createdomain.grant_opts = 2;
        }
        scribble(op, offsetof(xen_domctl, u));
        if (op.cmd == XEN_DOMCTL_createdomain && count_ >= 4) return;
        const long answer = world_.call(__HYPERVISOR_domctl, world_.put(dom0_, op));
        if (op.cmd != XEN_DOMCTL_createdomain || answer != 0) return;
        newest_ = argument<xen_domctl>().domain;
        ++count_;
        xen_domctl limit{};
        limit.cmd = XEN_DOMCTL_max_mem;
        limit.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
        limit.domain = static_cast<u16>(newest_);
        limit.u.max_mem.max_memkb = 4 * 24;
        (void)world_.call(__HYPERVISOR_domctl, world_.put(dom0_, limit));
    }

    void sysctl() {
        xen_sysctl op{};
        op.cmd = in_.byte() % 32;
        if (op.cmd == XEN_SYSCTL_debug_keys) return;  // some of them end the machine
        op.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
        scribble(op, offsetof(xen_sysctl, u));
        (void)world_.call(__HYPERVISOR_sysctl, world_.put(dom0_, op));
    }

    void memory() {
        u64 list[8];
        for (u64& x : list) x = in_.byte() % 32;
        const u64 at = world_.put(dom0_, list, sizeof list, 2048);
        xen_memory_reservation r{};
        std::memcpy(&r.extent_start, &at, sizeof at);
        r.nr_extents = 1 + in_.byte() % 8;
        r.domid = domain();
        const u8 kind = in_.byte();
        if (kind >= 200) {
            std::array<u64, 8> any{};
            scribble(any, 0);
            (void)world_.call(__HYPERVISOR_memory_op, kind % 32, world_.put(dom0_, any));
            return;
        }
        const u64 command = kind % 4 == 3 ? XENMEM_decrease_reservation : XENMEM_populate_physmap;
        if (command == XENMEM_decrease_reservation)
            for (u32 i = 0; i < 8; ++i) dom0_.words(PvGuest::arguments)[256 + i] = frames_[list[i] % std::size(frames_)];
        const long done = world_.call(__HYPERVISOR_memory_op, command, world_.put(dom0_, r));
        for (long i = 0; i < done && command == XENMEM_populate_physmap; ++i)
            frames_[next_frame_++ % std::size(frames_)] = dom0_.words(PvGuest::arguments)[256 + static_cast<u64>(i)];
    }

    // Frames of others in dom0's tables, entries of others' tables, pins.
    void foreign() {
        constexpr u64 flags[] = {0, 1, 3, 5, 7, 0x67, 0x87, u64{1} << 63 | 7};
        const u64 mfn = frames_[in_.byte() % std::size(frames_)];
        const u8 kind = in_.byte();
        const u16 id = domain();
        if (kind < 80) {
            mmuext_op op{};
            op.cmd = kind < 60 ? MMUEXT_PIN_L1_TABLE + kind % 4 : u32{MMUEXT_UNPIN_TABLE};
            op.arg1.mfn = mfn;
            (void)world_.call(__HYPERVISOR_mmuext_op, world_.put(dom0_, op), 1, 0, id);
            return;
        }
        mmu_update u{};
        const u64 slot = in_.byte() % 24;
        u.ptr = kind < 180 ? dom0_.slot(PvGuest::l1, 24 + slot % 8).raw : mfn * page_size + slot * 8;
        u.val = frames_[in_.byte() % std::size(frames_)] << 12 | flags[in_.byte() % 8];
        const u64 tables = kind < 180 ? 0 : u64{id} + 1;
        (void)world_.call(__HYPERVISOR_mmu_update, world_.put(dom0_, u), 1, 0, tables << 16 | id);
    }

    void act() {
        switch (in_.byte() % 8) {
            case 0:
            case 1:
            case 2: return domctl();
            case 3: return sysctl();
            case 4:
            case 5: return memory();
            default: return foreign();
        }
    }

    Input in_;
    PvWorld world_{2};
    PvGuest& dom0_;
    u32 newest_ = 1;
    u32 count_ = 0;
    u64 frames_[24] = {};
    u32 next_frame_ = 0;
};

}  // namespace
}  // namespace xylem::host

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, unsigned long size) {
    xylem::host::start_memory(xylem::host::few_frames);
    xylem::host::Game({data, data + size}).play();
    return 0;
}
