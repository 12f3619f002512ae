// SPDX-License-Identifier: MIT
// Domains made, built and destroyed by another domain's tools, through the hypercall table.
#include <gtest/gtest.h>

#include <cstring>

#include "arch/host/memory.hpp"
#include "arch/x86/pv/mmu.hpp"
#include "arch/x86/pv/pte.hpp"
#include "core/control/control.hpp"
#include "core/domain/domain_list.hpp"
#include "core/mem/frames.hpp"
#include "core/mem/pages.hpp"
#include "tests/unit/core/control/tools.hpp"

namespace xylem::host {
namespace {

class Life : public Tools {
   protected:
    Life() : Tools(32) {}
    ~Life() override { EXPECT_EQ(w.check(), ""); }

    u64* list() { return dom0.words(PvGuest::arguments) + list_offset / 8; }
    long simple(u32 cmd, u16 domain) {
        xen_domctl op = domctl(cmd, domain);
        return call(op);
    }
    static xen_domctl creation(u16 domain = 0) {
        xen_domctl op = domctl(XEN_DOMCTL_createdomain, domain);
        op.u.createdomain.max_vcpus = 2;
        op.u.createdomain.max_evtchn_port = 1023;
        op.u.createdomain.max_grant_frames = 2;
        op.u.createdomain.max_maptrack_frames = 2;
        op.u.createdomain.grant_opts = 1;
        return op;
    }
    u16 make() {
        xen_domctl op = creation();
        EXPECT_EQ(call(op), 0);
        xen_domctl limit = domctl(XEN_DOMCTL_max_mem, op.domain);
        limit.u.max_mem.max_memkb = 64 * 4;
        EXPECT_EQ(call(limit), 0);
        return op.domain;
    }
    // Frames 0 .. count - 1 of the domain; their machine frames.
    std::vector<u64> populate(u16 domain, u32 count) {
        for (u32 i = 0; i < count; ++i) list()[i] = i;
        xen_memory_reservation r{};
        point(r.extent_start, va(list_offset));
        r.nr_extents = count;
        r.domid = domain;
        EXPECT_EQ(w.call(__HYPERVISOR_memory_op, XENMEM_populate_physmap, w.put(dom0, r)), count);
        return {list(), list() + count};
    }
    // dom0 maps a frame of the domain at its own frame 20's address.
    long map(u16 domain, u64 mfn, u64 flags) {
        mmu_update u{};
        u.ptr = dom0.slot(PvGuest::l1, 20).raw;
        u.val = mfn << 12 | flags;
        return w.call(__HYPERVISOR_mmu_update, w.put(dom0, u), 1, 0, domain);
    }
    static constexpr u64 writable = pv::bits::present | pv::bits::user | pv::bits::writable;
    static u64* words(u64 mfn) { return pv::table_of(Mfn(mfn)); }

    // Page tables of the domain's frames 0 (root) to 3, built with its frames mapped at 4 GiB.
    std::vector<u64> build(u16 domain) {
        const std::vector<u64> f = populate(domain, 8);
        words(f[0])[0] = f[1] << 12 | writable;
        words(f[1])[PvGuest::base >> 30] = f[2] << 12 | writable;
        words(f[2])[0] = f[3] << 12 | writable;
        for (u32 i = 4; i < 8; ++i) words(f[3])[i] = f[i] << 12 | writable;
        return f;
    }
    long context_call(u32 cmd, u16 domain, u32 vcpu, vcpu_guest_context& c) {
        // Larger than the argument page: it lies on two pages of stacks, mapped in a row.
        const u64 at = PvGuest::va(10);
        std::vector<u8> bytes(sizeof c);
        std::memcpy(bytes.data(), &c, sizeof c);
        for (u64 done = 0; done < sizeof c; done += page_size)
            std::memcpy(dom0.words(10 + static_cast<u32>(done / page_size)), bytes.data() + done,
                        std::min<u64>(page_size, sizeof c - done));
        xen_domctl op = domctl(cmd, domain);
        op.u.vcpucontext.vcpu = vcpu;
        point(op.u.vcpucontext.ctxt, at);
        const long answer = call(op);
        for (u64 done = 0; done < sizeof c; done += page_size)
            std::memcpy(bytes.data() + done, dom0.words(10 + static_cast<u32>(done / page_size)),
                        std::min<u64>(page_size, sizeof c - done));
        std::memcpy(&c, bytes.data(), sizeof c);
        return answer;
    }
    static vcpu_guest_context context_for(u64 root) {
        vcpu_guest_context c{};
        c.flags = VGCF_in_kernel | VGCF_I387_VALID;
        c.ctrlreg[3] = root << 12;
        c.user_regs.rip = 0x1234;
        c.user_regs.rax = 0x77;
        c.user_regs.cs = GUEST_CS64;
        c.user_regs.ss = GUEST_DS;
        c.trap_ctxt[3] = {.vector = 3, .flags = 3, .cs = GUEST_CS64, .address = 0x5000};
        return c;
    }
};

TEST_F(Life, numbers_are_not_used_again_at_once) {
    const u16 a = make();
    EXPECT_EQ(simple(XEN_DOMCTL_destroydomain, a), 0);
    const u16 b = make();
    EXPECT_NE(a, b);
    xen_domctl again = creation(b);
    EXPECT_EQ(call(again), error(XEN_EEXIST));
}

TEST_F(Life, settings_that_cannot_be_kept_are_refused) {
    const auto with = [this](auto change) {
        xen_domctl op = creation();
        change(op.u.createdomain);
        return call(op);
    };
    EXPECT_EQ(with([](auto& c) { c.flags = XEN_DOMCTL_CDF_hvm; }), error(XEN_EINVAL));
    EXPECT_EQ(with([](auto& c) { c.flags = 1U << 20; }), error(XEN_EINVAL));
    EXPECT_EQ(with([](auto& c) { c.max_vcpus = 0; }), error(XEN_EINVAL));
    EXPECT_EQ(with([](auto& c) { c.max_vcpus = 100000; }), error(XEN_EINVAL));
    EXPECT_EQ(with([](auto& c) { c.max_grant_frames = 1 << 30; }), error(XEN_EINVAL));
    EXPECT_EQ(with([](auto& c) { c.grant_opts = 3; }), error(XEN_EINVAL));
    EXPECT_EQ(with([](auto& c) { c.cpupool_id = 7; }), error(XEN_EINVAL));
    EXPECT_EQ(with([](auto& c) { c.arch.emulation_flags = 1; }), error(XEN_EINVAL));
}

TEST_F(Life, a_new_domain_is_paused_and_known) {
    const u16 id = make();
    xen_domctl op = domctl(XEN_DOMCTL_getdomaininfo, id);
    ASSERT_EQ(call(op), 0);
    EXPECT_EQ(op.domain, id);
    EXPECT_NE(op.u.getdomaininfo.flags & XEN_DOMINF_paused, 0u);
    EXPECT_EQ(op.u.getdomaininfo.max_vcpu_id, 1u);
    EXPECT_EQ(simple(XEN_DOMCTL_unpausedomain, id), 0);
    EXPECT_EQ(simple(XEN_DOMCTL_unpausedomain, id), error(XEN_EINVAL));
    for (int i = 0; i < 255; ++i) ASSERT_EQ(simple(XEN_DOMCTL_pausedomain, id), 0);
    EXPECT_EQ(simple(XEN_DOMCTL_pausedomain, id), error(XEN_EOVERFLOW));
}

TEST_F(Life, destroying_gives_back_every_page) {
    (void)simple(XEN_DOMCTL_destroydomain, make());  // the heap has grown to what one domain needs
    const u64 before = frames().free_frames();
    const u16 id = make();
    const std::vector<u64> f = build(id);
    mmuext_op pin{};
    pin.cmd = MMUEXT_PIN_L4_TABLE;
    pin.arg1.mfn = f[0];
    ASSERT_EQ(w.call(__HYPERVISOR_mmuext_op, w.put(dom0, pin), 1, 0, id), 0);
    vcpu_guest_context c = context_for(f[0]);
    ASSERT_EQ(context_call(XEN_DOMCTL_setvcpucontext, id, 0, c), 0);
    EXPECT_LT(frames().free_frames(), before - 8);
    EXPECT_EQ(simple(XEN_DOMCTL_destroydomain, id), 0);
    EXPECT_EQ(frames().free_frames(), before);
    EXPECT_EQ(simple(XEN_DOMCTL_destroydomain, id), error(XEN_ESRCH));
    xen_domctl info = domctl(XEN_DOMCTL_getdomaininfo, id);
    EXPECT_EQ(call(info), error(XEN_ESRCH));
}

TEST_F(Life, a_mapped_frame_outlives_its_domain_but_nobody_new_gets_it) {
    const u16 id = make();
    const u64 mfn = populate(id, 1)[0];
    ASSERT_EQ(map(id, mfn, writable), 0);
    words(mfn)[5] = 0x1234;
    ASSERT_EQ(simple(XEN_DOMCTL_destroydomain, id), 0);
    EXPECT_EQ(words(mfn)[5], 0x1234u);
    EXPECT_NE(find_page(Mfn(mfn))->load().references(), 0u);
    // A later domain of the same number is somebody else.
    xen_domctl op = creation(id);
    ASSERT_EQ(call(op), 0);
    mmu_update u{};
    u.ptr = dom0.slot(PvGuest::l1, 21).raw;
    u.val = mfn << 12 | pv::bits::present | pv::bits::user;
    EXPECT_EQ(w.call(__HYPERVISOR_mmu_update, w.put(dom0, u), 1, 0, id), error(XEN_EINVAL));
    EXPECT_EQ(map(DOMID_SELF, 0, 0), 0);
    EXPECT_TRUE(find_page(Mfn(mfn))->load().has(PageState::free_bit));
}

TEST_F(Life, memory_arrives_without_what_a_former_owner_left) {
    const u16 a = make();
    for (u64 mfn : populate(a, 32)) std::memset(words(mfn), 0xab, page_size);
    ASSERT_EQ(simple(XEN_DOMCTL_destroydomain, a), 0);
    const u16 b = make();
    for (u64 mfn : populate(b, 32))
        for (u32 i = 0; i < 512; ++i) ASSERT_EQ(words(mfn)[i], 0u);
}

TEST_F(Life, a_context_comes_back_as_it_went_in) {
    const u16 id = make();
    const std::vector<u64> f = build(id);
    vcpu_guest_context c = context_for(f[0]);
    EXPECT_EQ(context_call(XEN_DOMCTL_getvcpucontext, id, 0, c), error(XEN_ENODATA));
    ASSERT_EQ(context_call(XEN_DOMCTL_setvcpucontext, id, 0, c), 0);
    EXPECT_EQ(find_page(Mfn(f[3]))->load().type(), PageType::l1);
    vcpu_guest_context back{};
    ASSERT_EQ(context_call(XEN_DOMCTL_getvcpucontext, id, 0, back), 0);
    EXPECT_EQ(back.user_regs.rip, 0x1234u);
    EXPECT_EQ(back.user_regs.rax, 0x77u);
    EXPECT_EQ(back.ctrlreg[3], f[0] << 12);
    EXPECT_EQ(back.trap_ctxt[3].address, 0x5000u);
    EXPECT_EQ(back.trap_ctxt[3].flags, 3);
    // Registers may change later, what they hold of memory may not.
    back.user_regs.rax = 1;
    EXPECT_EQ(context_call(XEN_DOMCTL_setvcpucontext, id, 0, back), 0);
    back.ctrlreg[3] = f[4] << 12;
    EXPECT_EQ(context_call(XEN_DOMCTL_setvcpucontext, id, 0, back), error(XEN_EOPNOTSUPP));
    EXPECT_EQ(context_call(XEN_DOMCTL_setvcpucontext, id, 2, back), error(XEN_EINVAL));
}

TEST_F(Life, contexts_with_bad_roots_or_addresses_are_refused) {
    const u16 id = make();
    const std::vector<u64> f = build(id);
    vcpu_guest_context c = context_for(dom0.frames[0].raw);
    EXPECT_EQ(context_call(XEN_DOMCTL_setvcpucontext, id, 0, c), error(XEN_EINVAL));
    c = context_for(f[0]);
    c.user_regs.rip = u64{1} << 50;
    EXPECT_EQ(context_call(XEN_DOMCTL_setvcpucontext, id, 0, c), error(XEN_EINVAL));
    c = context_for(f[0]);
    c.flags = 0;  // user mode, and no user root
    c.user_regs.cs = GUEST_CS64;
    EXPECT_EQ(context_call(XEN_DOMCTL_setvcpucontext, id, 0, c), error(XEN_EINVAL));
    EXPECT_EQ(find_page(Mfn(f[0]))->load().type_uses(), 0u);
}

TEST_F(Life, page_types_are_told) {
    const u16 id = make();
    const std::vector<u64> f = build(id);
    mmuext_op pin{};
    pin.cmd = MMUEXT_PIN_L4_TABLE;
    pin.arg1.mfn = f[0];
    ASSERT_EQ(w.call(__HYPERVISOR_mmuext_op, w.put(dom0, pin), 1, 0, id), 0);
    list()[0] = f[0];
    list()[1] = f[3];
    list()[2] = f[5];
    list()[3] = dom0.frames[0].raw;
    xen_domctl op = domctl(XEN_DOMCTL_getpageframeinfo3, id);
    op.u.getpageframeinfo3.num = 4;
    point(op.u.getpageframeinfo3.array, va(list_offset));
    ASSERT_EQ(call(op), 0);
    EXPECT_EQ(list()[0], XEN_DOMCTL_PFINFO_L4TAB | XEN_DOMCTL_PFINFO_LPINTAB);
    EXPECT_EQ(list()[1], XEN_DOMCTL_PFINFO_L1TAB);
    EXPECT_EQ(list()[2], XEN_DOMCTL_PFINFO_NOTAB);
    EXPECT_EQ(list()[3], XEN_DOMCTL_PFINFO_XTAB);
    op.u.getpageframeinfo3.num = 1025;
    EXPECT_EQ(call(op), error(XEN_E2BIG));
}

TEST_F(Life, nobody_destroys_itself_or_dom0) {
    EXPECT_EQ(simple(XEN_DOMCTL_destroydomain, 0), error(XEN_EINVAL));
    EXPECT_EQ(simple(XEN_DOMCTL_pausedomain, 0), error(XEN_EINVAL));
    w.run(other);
    xen_domctl op = domctl(XEN_DOMCTL_destroydomain, 0);
    EXPECT_EQ(w.call(__HYPERVISOR_domctl, w.put(other, op)), error(XEN_EPERM));
    w.run(dom0);
}

TEST_F(Life, pools_take_cpus_from_each_other) {
    xen_sysctl op{};
    const auto pool = [&](u32 what, u32 id, u32 cpu, u32 domain = 0) {
        op = sysctl(XEN_SYSCTL_cpupool_op);
        op.u.cpupool_op.op = what;
        op.u.cpupool_op.cpupool_id = id;
        op.u.cpupool_op.sched_id = XEN_SCHEDULER_CREDIT2;
        op.u.cpupool_op.cpu = cpu;
        op.u.cpupool_op.domid = domain;
        return call(op);
    };
    const u16 id = make();
    ASSERT_EQ(pool(XEN_SYSCTL_CPUPOOL_OP_CREATE, XEN_SYSCTL_CPUPOOL_PAR_ANY, 0), 0);
    const u32 second = op.u.cpupool_op.cpupool_id;
    EXPECT_EQ(pool(XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN, second, 0, id), error(XEN_EBUSY));  // it has no CPU
    EXPECT_EQ(pool(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, second, 1), error(XEN_ENODEV));         // not free
    EXPECT_EQ(pool(XEN_SYSCTL_CPUPOOL_OP_RMCPU, 0, 1), 0);
    EXPECT_EQ(pool(XEN_SYSCTL_CPUPOOL_OP_RMCPU, 0, 0), error(XEN_EINVAL));  // dom0's last
    EXPECT_EQ(pool(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, second, 1), 0);
    EXPECT_EQ(pool(XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN, second, 0, id), 0);
    Vcpu& v = *find_domain(DomId(id))->vcpus[0];
    EXPECT_TRUE(v.sched.hard_affinity.has(CpuId(1)) && !v.sched.hard_affinity.has(CpuId(0)));
    EXPECT_EQ(pool(XEN_SYSCTL_CPUPOOL_OP_DESTROY, second, 0), error(XEN_EBUSY));
    EXPECT_EQ(simple(XEN_DOMCTL_destroydomain, id), 0);
    EXPECT_EQ(pool(XEN_SYSCTL_CPUPOOL_OP_RMCPU, second, 1), 0);
    EXPECT_EQ(pool(XEN_SYSCTL_CPUPOOL_OP_DESTROY, second, 0), 0);
    EXPECT_EQ(pool(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, 0, 1), 0);
    EXPECT_TRUE(dom0.domain->vcpus[0]->sched.hard_affinity.has(CpuId(1)));
}

}  // namespace
}  // namespace xylem::host
