// SPDX-License-Identifier: MIT
// The moves of pv_fuzz that call anything with anything: every hypercall, alone and in multicalls.
#pragma once

#include "tests/fuzz/pv_board.hpp"

namespace xylem::host {

class Calls {
   public:
    explicit Calls(Board& board) : b_(board) {}

    void any(const Step& s) {
        multicall_entry c = call(s);
        if (!allowed(c)) return;
        std::array<u64, 12> words{};
        for (u8 i = 0; i < words.size(); ++i) words[i] = number(static_cast<u8>(s.c * (i + 3) + s.d), s.b);
        words[0] = s.b % 5;  // where it is a count or a kind, a sensible one
        b_.with_arguments(words, [&](u64) { return b_.world.call(c.op, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4]); });
    }
    void several(const Step& s) {
        std::array<multicall_entry, 3> list{};
        for (u8 i = 0; i < list.size(); ++i) {
            list[i] = call({s.kind, static_cast<u8>(s.a + i * s.d), static_cast<u8>(s.b ^ i), static_cast<u8>(s.c + i), s.d});
            if (!allowed(list[i])) list[i] = {};
        }
        b_.with_arguments(list, [&](u64 at) { return b_.world.call(__HYPERVISOR_multicall, at, 1 + s.a % list.size()); });
    }

   private:
    // A number that means something to somebody.
    u64 number(u8 pick, u8 more) {
        switch (pick % 12) {
            case 0: return 0;
            case 1: return more % 4;
            case 2: return more;
            case 3: return Board::arguments_at();
            case 4: return Board::arguments_at() + more % 16 * 8;
            case 5: return Board::va(more) + pick;
            case 6: return b_.frame(more).raw;
            case 7: return maddr_of(b_.frame(more)).raw + pick * 8;
            case 8: return DOMID_SELF;
            case 9: return ~u64{0} >> more % 64;
            case 10: return u64{1} << more % 64;
            default: return layout::hypervisor_start + more * page_size;
        }
    }

    multicall_entry call(const Step& s) {
        multicall_entry c{};
        c.op = s.a % 64;
        for (u8 i = 0; i < 5; ++i) c.args[i] = number(static_cast<u8>(s.c + s.d * (i + 1)), static_cast<u8>(s.b + i));
        if (c.op == __HYPERVISOR_multicall) c.op = __HYPERVISOR_callback_op;
        const bool has_command = c.op != __HYPERVISOR_set_trap_table && c.op != __HYPERVISOR_mmuext_op;
        if (has_command && s.d % 4 != 0) c.args[0] = s.b % 48;
        return c;
    }
    // Not what needs more of a machine than there is: waiting, starting vCPUs, power; control_fuzz plays dom0's tools.
    static bool allowed(const multicall_entry& c) {
        const bool privileged = current_arch().vcpu->domain.is_control_domain;
        switch (c.op) {
            case __HYPERVISOR_sched_op: return c.args[0] > SCHEDOP_poll && c.args[0] != SCHEDOP_remote_shutdown;
            case __HYPERVISOR_vcpu_op:
                return c.args[0] != VCPUOP_up && c.args[0] != VCPUOP_down && c.args[0] != VCPUOP_initialise;
            case __HYPERVISOR_domctl:
            case __HYPERVISOR_sysctl:
            case __HYPERVISOR_platform_op:
            case __HYPERVISOR_console_io: return !privileged;
            default: return true;
        }
    }

    Board& b_;
};

}  // namespace xylem::host
