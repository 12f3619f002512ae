// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cstring>

#include "core/mem/table_types.hpp"
#include "tests/unit/core/grant/world.hpp"

namespace xylem::test {
namespace {

struct CopyTest : testing::Test {
    World w;
    Domain& dom0 = w.add_domain(0);
    Domain& guest = w.add_domain(1);
    Domain& other = w.add_domain(2);
    Mfn remote = w.page(guest);
    Mfn local = w.page(dom0);

    CopyTest() {
        for (u64 i = 0; i < page_size; ++i) {
            w.bytes(remote)[i] = static_cast<u8>(i * 7);
            w.bytes(local)[i] = 0xee;
        }
        offer(guest, 9, dom0, remote);
    }
    // From the guest's grant to the caller's own page.
    gnttab_copy from_grant(u32 ref, u16 offset, u16 length, u16 to) {
        gnttab_copy op{};
        op.source.u.ref = ref;
        op.source.domid = 1;
        op.source.offset = offset;
        op.dest.u.gmfn = local.raw;
        op.dest.domid = DOMID_SELF;
        op.dest.offset = to;
        op.len = length;
        op.flags = GNTCOPY_source_gref;
        op.status = 77;
        return op;
    }
    int run(gnttab_copy& op, Domain& caller) { return grant_op(caller, GNTTABOP_copy, &op) == 0 ? op.status : 99; }
    int run(gnttab_copy op) { return run(op, dom0); }
    void expect_idle(u32 ref = 9) {
        EXPECT_EQ(entry_v1(guest, ref).flags & (GTF_reading | GTF_writing), 0);
        for (Mfn m : {remote, local}) {
            EXPECT_EQ(state_of(m).references(), 1u);
            EXPECT_EQ(state_of(m).type_uses(), 0u);
        }
    }
};

TEST_F(CopyTest, from_a_grant) {
    EXPECT_EQ(run(from_grant(9, 100, 50, 4046)), GNTST_okay);
    EXPECT_EQ(std::memcmp(w.bytes(local) + 4046, w.bytes(remote) + 100, 50), 0);
    EXPECT_EQ(w.bytes(local)[4045], 0xee);
    expect_idle();
}

TEST_F(CopyTest, to_a_grant) {
    gnttab_copy op = from_grant(9, 0, 4096, 0);
    std::swap(op.source, op.dest);
    op.flags = GNTCOPY_dest_gref;
    EXPECT_EQ(run(op), GNTST_okay);
    EXPECT_EQ(std::memcmp(w.bytes(local), w.bytes(remote), page_size), 0);
    expect_idle();
    entry_v1(guest, 9).flags |= GTF_readonly;
    EXPECT_EQ(run(op), GNTST_general_error);
    EXPECT_EQ(run(from_grant(9, 0, 1, 0)), GNTST_okay);
    expect_idle();
}

TEST_F(CopyTest, boundaries) {
    EXPECT_EQ(run(from_grant(9, 0, 4096, 0)), GNTST_okay);
    EXPECT_EQ(run(from_grant(9, 4095, 1, 4095)), GNTST_okay);
    EXPECT_EQ(run(from_grant(9, 4096, 0, 0)), GNTST_okay);
    EXPECT_EQ(run(from_grant(9, 0, 0, 4096)), GNTST_okay);
    EXPECT_EQ(run(from_grant(9, 4095, 2, 0)), GNTST_bad_copy_arg);
    EXPECT_EQ(run(from_grant(9, 0, 2, 4095)), GNTST_bad_copy_arg);
    EXPECT_EQ(run(from_grant(9, 0, 4097, 0)), GNTST_bad_copy_arg);
    EXPECT_EQ(run(from_grant(9, 1, 0xffff, 0)), GNTST_bad_copy_arg);
    EXPECT_EQ(run(from_grant(9, 0xffff, 0xffff, 0xffff)), GNTST_bad_copy_arg);
    expect_idle();
}

TEST_F(CopyTest, refusals) {
    EXPECT_EQ(run(from_grant(600, 0, 1, 0)), GNTST_bad_gntref);
    EXPECT_EQ(run(from_grant(10, 0, 1, 0)), GNTST_general_error);
    gnttab_copy op = from_grant(9, 0, 1, 0);
    op.source.domid = 44;
    EXPECT_EQ(run(op), GNTST_bad_domain);
    op = from_grant(9, 0, 1, 0);
    op.dest.domid = 1;  // another's page by frame number
    EXPECT_EQ(run(op), GNTST_permission_denied);
    op.dest.domid = 44;
    EXPECT_EQ(run(op), GNTST_bad_domain);
    op.dest.domid = 0;  // and one's own goes by DOMID_SELF only
    EXPECT_EQ(run(op), GNTST_permission_denied);
    op = from_grant(9, 0, 1, 0);
    op.dest.u.gmfn = remote.raw;  // not the caller's
    EXPECT_EQ(run(op), GNTST_bad_page);
    op.dest.u.gmfn = ~u64{0};
    EXPECT_EQ(run(op), GNTST_bad_page);
    op.flags = 0;
    op.source.domid = DOMID_SELF;
    op.source.u.gmfn = remote.raw;
    EXPECT_EQ(run(op), GNTST_bad_page);
    op = from_grant(9, 0, 1, 0);
    EXPECT_EQ(run(op, other), GNTST_general_error);
    guest.life = Life::dying;
    EXPECT_EQ(run(op), GNTST_bad_domain);
    guest.life = Life::alive;
    expect_idle();
}

TEST_F(CopyTest, page_table_is_no_destination) {
    PageInfo& info = *find_page(local);
    ASSERT_TRUE(get_reference(info, dom0.id));
    ASSERT_TRUE(get_type_use(info, PageType::l1));
    EXPECT_EQ(run(from_grant(9, 0, 1, 0)), GNTST_general_error);
    gnttab_copy op = from_grant(9, 0, 16, 0);
    std::swap(op.source, op.dest);
    op.flags = GNTCOPY_dest_gref;
    EXPECT_EQ(run(op), GNTST_okay);  // but may be read
    put_type_use(info);
    put_reference(info);
    expect_idle();
}

TEST_F(CopyTest, within_one_page) {
    gnttab_copy op{};
    op.source.u.gmfn = op.dest.u.gmfn = local.raw;
    op.source.domid = op.dest.domid = DOMID_SELF;
    op.dest.offset = 8;
    op.len = 100;
    EXPECT_EQ(run(op), GNTST_okay);
    expect_idle();
}

TEST_F(CopyTest, batch_keeps_going_after_errors) {
    std::vector<gnttab_copy> ops;
    for (u16 i = 0; i < 80; ++i) ops.push_back(from_grant(i % 3 == 1 ? 10 : 9, i, 1, i));
    EXPECT_EQ(grant_op(dom0, GNTTABOP_copy, ops.data(), ops.size()), 0);
    for (u16 i = 0; i < 80; ++i) {
        EXPECT_EQ(ops[i].status, i % 3 == 1 ? GNTST_general_error : GNTST_okay) << i;
        EXPECT_EQ(w.bytes(local)[i], i % 3 == 1 ? 0xee : w.bytes(remote)[i]);
    }
    EXPECT_TRUE(w.preempted(2));
    expect_idle();
    EXPECT_EQ(grant_op<void>(dom0, GNTTABOP_copy, nullptr, 1), error(XEN_EFAULT));
}

// XSA-500: what is copied is the page of the entry in use, whatever the shared entry says by now.
TEST_F(CopyTest, uses_the_entry_in_use) {
    const auto mapping = map(dom0, guest, 9, GNTMAP_host_map | GNTMAP_readonly, 0x5000'0000);
    ASSERT_EQ(mapping.status, GNTST_okay);
    const Mfn decoy = w.page(guest);
    std::memset(w.bytes(decoy), 0x11, page_size);
    entry_v1(guest, 9).frame = static_cast<u32>(decoy.raw);
    EXPECT_EQ(run(from_grant(9, 0, 64, 0)), GNTST_okay);
    EXPECT_EQ(std::memcmp(w.bytes(local), w.bytes(remote), 64), 0);
    EXPECT_EQ(unmap(dom0, mapping.handle, 0x5000'0000), GNTST_okay);
    expect_idle();
}

struct CopyV2Test : CopyTest {
    CopyV2Test() {
        EXPECT_TRUE(guest.grants->set_version(2));
        EXPECT_TRUE(other.grants->set_version(2));
    }
    void page_grant(Domain& granter, u32 ref, Domain& to, Mfn mfn, u16 flags = 0) {
        auto& e = entry_v2(granter, ref);
        e.full_page.frame = mfn.raw;
        e.hdr.domid = to.id.raw;
        e.hdr.flags = static_cast<u16>(GTF_permit_access | flags);
    }
    void part_grant(u32 ref, u16 start, u16 length) {
        page_grant(guest, ref, dom0, remote, GTF_sub_page);
        entry_v2(guest, ref).sub_page.page_off = start;
        entry_v2(guest, ref).sub_page.length = length;
    }
    void transitive_grant(Domain& granter, u32 ref, Domain& to, Domain& next, u32 next_ref, u16 flags = 0) {
        auto& e = entry_v2(granter, ref);
        e.transitive.trans_domid = next.id.raw;
        e.transitive.gref = next_ref;
        e.hdr.domid = to.id.raw;
        e.hdr.flags = static_cast<u16>(GTF_transitive | flags);
    }
};

TEST_F(CopyV2Test, whole_page) {
    page_grant(guest, 20, dom0, remote);
    EXPECT_EQ(run(from_grant(20, 0, 4096, 0)), GNTST_okay);
    EXPECT_EQ(status_v2(guest, 20), 0);
    const auto m = map(dom0, guest, 20, GNTMAP_host_map, 0x5000'0000);
    EXPECT_EQ(m.status, GNTST_okay);
    EXPECT_EQ(status_v2(guest, 20), GTF_reading | GTF_writing);
    EXPECT_EQ(entry_v2(guest, 20).hdr.flags, GTF_permit_access);  // marks stand apart
    EXPECT_EQ(unmap(dom0, m.handle, 0x5000'0000), GNTST_okay);
    EXPECT_EQ(status_v2(guest, 20), 0);
}

TEST_F(CopyV2Test, part_of_a_page) {
    part_grant(20, 100, 200);
    EXPECT_EQ(run(from_grant(20, 100, 200, 0)), GNTST_okay);
    EXPECT_EQ(run(from_grant(20, 99, 2, 0)), GNTST_general_error);
    EXPECT_EQ(run(from_grant(20, 299, 2, 0)), GNTST_general_error);
    EXPECT_EQ(run(from_grant(20, 300, 0, 0)), GNTST_okay);
    EXPECT_EQ(map(dom0, guest, 20, GNTMAP_host_map, 0x5000'0000).status, GNTST_general_error);
    part_grant(21, 0xfff0, 0xffff);  // beyond the page altogether
    EXPECT_EQ(run(from_grant(21, 4095, 1, 0)), GNTST_general_error);
    part_grant(22, 4000, 0xffff);
    EXPECT_EQ(run(from_grant(22, 4000, 96, 0)), GNTST_okay);
    EXPECT_EQ(run(from_grant(22, 4000, 97, 0)), GNTST_bad_copy_arg);
    for (u32 ref : {20u, 21u, 22u}) EXPECT_EQ(status_v2(guest, ref), 0);
}

TEST_F(CopyV2Test, transitive) {
    // `other` grants to `guest`, which passes it on to dom0.
    const Mfn far = w.page(other);
    std::memset(w.bytes(far), 0x42, page_size);
    page_grant(other, 30, guest, far);
    transitive_grant(guest, 20, dom0, other, 30);
    EXPECT_EQ(run(from_grant(20, 0, 64, 0)), GNTST_okay);
    EXPECT_EQ(w.bytes(local)[63], 0x42);
    EXPECT_EQ(state_of(far).references(), 1u);
    EXPECT_EQ(map(dom0, guest, 20, GNTMAP_host_map, 0x5000'0000).status, GNTST_general_error);
    // Writing needs it from both.
    gnttab_copy op = from_grant(20, 0, 64, 0);
    std::swap(op.source, op.dest);
    op.flags = GNTCOPY_dest_gref;
    EXPECT_EQ(run(op), GNTST_okay);
    page_grant(other, 30, guest, far, GTF_readonly);
    EXPECT_EQ(run(op), GNTST_general_error);
    page_grant(other, 30, guest, far);
    transitive_grant(guest, 20, dom0, other, 30, GTF_readonly);
    EXPECT_EQ(run(op), GNTST_general_error);
    // One step only, not to oneself endlessly, not to nobody.
    transitive_grant(other, 31, guest, other, 30);
    transitive_grant(guest, 21, dom0, other, 31);
    EXPECT_EQ(run(from_grant(21, 0, 64, 0)), GNTST_general_error);
    transitive_grant(guest, 22, guest, guest, 22);
    transitive_grant(guest, 23, dom0, guest, 22);
    EXPECT_EQ(run(from_grant(23, 0, 64, 0)), GNTST_general_error);
    transitive_grant(guest, 24, dom0, other, 9999);
    EXPECT_EQ(run(from_grant(24, 0, 64, 0)), GNTST_bad_gntref);
    entry_v2(guest, 24).transitive.trans_domid = 77;
    EXPECT_EQ(run(from_grant(24, 0, 64, 0)), GNTST_general_error);
    for (u32 ref = 20; ref < 25; ++ref) {
        EXPECT_EQ(status_v2(guest, ref), 0) << ref;
        EXPECT_EQ(guest.grants->uses_of(ref), 0u);
    }
    EXPECT_EQ(status_v2(other, 30), 0);
    EXPECT_EQ(state_of(far).references(), 1u);
    EXPECT_EQ(state_of(far).type_uses(), 0u);
    EXPECT_EQ(other.references.load(), 1u);
}

}  // namespace
}  // namespace xylem::test
