// SPDX-License-Identifier: MIT
// Two PV guests on two simulated CPUs, and short names for what they call. Every test ends with the page check and the TLB
// oracle.
#pragma once

#include <gtest/gtest.h>

#include "abi/errno.hpp"
#include "arch/host/pv.hpp"
#include "arch/x86/pv/pte.hpp"

namespace xylem::host {

inline constexpr u64 rw = pv::bits::present | pv::bits::writable | pv::bits::user;
inline constexpr u64 ro = pv::bits::present | pv::bits::user;

class PvMmu : public testing::Test {
   protected:
    ~PvMmu() override { EXPECT_EQ(w.check(), ""); }

    static long error(Errno e) { return to_hypercall_result(e); }
    PageState state(const PvGuest& who, u32 frame) { return find_page(who.frames[frame])->load(); }
    long update(u64 ptr, u64 val, u64 foreign = DOMID_SELF, u32* done = nullptr) {
        PvGuest& me = running();
        const mmu_update u{ptr, val};
        const u64 at = w.put(me, u);
        w.put(me, u32{77}, 64);
        const long r = w.call(__HYPERVISOR_mmu_update, at, 1, at + 64, foreign);
        if (done != nullptr) *done = static_cast<u32>(me.words(PvGuest::arguments)[8]);
        return r;
    }
    long set_l1(u32 index, u64 entry, u64 command = MMU_NORMAL_PT_UPDATE) {
        return update(running().slot(PvGuest::l1, index).raw | command, entry);
    }
    u64 l1_entry(u32 index) { return running().words(PvGuest::l1)[index]; }
    // An operation among the running guest's arguments; its address.
    u64 put_ext(u32 cmd, u64 arg1 = 0, u64 arg2 = 0) {
        mmuext_op op{};
        op.cmd = cmd;
        op.arg1.mfn = arg1;
        op.arg2.src_mfn = arg2;
        return w.put(running(), op);
    }
    long ext(u32 cmd, u64 arg1 = 0, u64 arg2 = 0) {
        return w.call(__HYPERVISOR_mmuext_op, put_ext(cmd, arg1, arg2), 1, 0, DOMID_SELF);
    }
    long va_mapping(u32 page, u64 entry, u64 flags = 0) {
        return w.call(__HYPERVISOR_update_va_mapping, PvGuest::va(page), entry, flags);
    }
    PvGuest& running() { return *w.guests[current_arch().vcpu->domain.id.raw]; }
    // The data frame is a table from now on: not mapped writable any more.
    void protect(u32 frame) { ASSERT_EQ(va_mapping(frame, running().entry(frame, ro), UVMF_INVLPG | UVMF_ALL), 0); }
    bool store(u64 va, u64 value) { return guest_store(va, &value, sizeof value).ok; }

    PvWorld w{2};
    PvGuest& dom0 = w.add_guest();
    PvGuest& g = w.add_guest(2);
};

}  // namespace xylem::host
