// SPDX-License-Identifier: MIT
// dom0's tools in a process: sysctl and domctl called by a PV domain through the hypercall table.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "arch/host/pv.hpp"

namespace xylem::host {

class Tools : public testing::Test {
   protected:
    explicit Tools(u32 dom0_pages = 24) : dom0(w.add_guest(2, dom0_pages)), other(w.add_guest()) { w.run(dom0); }

    // Lists that operations point to stand in the argument page, too.
    static constexpr u64 list_offset = 1024;
    static u64 va(u64 offset) { return PvGuest::va(PvGuest::arguments) + offset; }
    template <class Handle>
    static void point(Handle& handle, u64 to) {
        std::memcpy(&handle, &to, sizeof to);
    }
    static xen_sysctl sysctl(u32 cmd) {
        xen_sysctl op{};
        op.cmd = cmd;
        op.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
        return op;
    }
    static xen_domctl domctl(u32 cmd, u16 domain) {
        xen_domctl op{};
        op.cmd = cmd;
        op.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
        op.domain = domain;
        return op;
    }
    long call(xen_sysctl& op) { return call(__HYPERVISOR_sysctl, op); }
    long call(xen_domctl& op) { return call(__HYPERVISOR_domctl, op); }
    static long error(Errno e) { return to_hypercall_result(e); }

    PvWorld w{2};
    PvGuest& dom0;
    PvGuest& other;

   private:
    template <class Op>
    long call(u64 number, Op& op) {
        const long answer = w.call(number, w.put(dom0, op));
        std::memcpy(&op, dom0.words(PvGuest::arguments), sizeof op);
        return answer;
    }
};

}  // namespace xylem::host
