// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "tests/unit/core/grant/world.hpp"

namespace xylem::test {
namespace {

constexpr u64 at = 0x7000'0000;

struct ControlTest : testing::Test {
    World w;
    Domain& dom0 = w.add_domain(0);
    Domain& guest = w.add_domain(1);
    Domain& other = w.add_domain(2);

    int setup(Domain& caller, u16 dom, u32 n, u64* list) {
        gnttab_setup_table op{};
        op.dom = dom;
        op.nr_frames = n;
        op.frame_list.p = list;
        op.status = 77;
        return grant_op(caller, GNTTABOP_setup_table, &op) == 0 ? op.status : 99;
    }
    int status_frames(Domain& caller, u16 dom, u32 n, u64* list) {
        gnttab_get_status_frames op{};
        op.dom = dom;
        op.nr_frames = n;
        op.frame_list.p = list;
        op.status = 77;
        return grant_op(caller, GNTTABOP_get_status_frames, &op) == 0 ? op.status : 99;
    }
    long set_version(Domain& d, u32 version, u32 now) {
        gnttab_set_version op{version};
        const long rc = grant_op(d, GNTTABOP_set_version, &op);
        EXPECT_EQ(op.version, now);
        return rc;
    }
};

TEST_F(ControlTest, setup_table) {
    u64 list[65] = {};
    EXPECT_EQ(setup(guest, DOMID_SELF, 1, list), GNTST_okay);
    EXPECT_EQ(find_page(Mfn(list[0]))->owner(), guest.id);
    EXPECT_EQ(setup(guest, 1, 4, list), GNTST_okay);
    EXPECT_EQ(guest.grants->frames(), 4u);
    EXPECT_EQ(list[4], 0u);
    EXPECT_EQ(setup(guest, DOMID_SELF, 2, list), GNTST_okay);
    EXPECT_EQ(guest.grants->frames(), 4u);
    EXPECT_EQ(setup(guest, DOMID_SELF, 65, list), GNTST_general_error);
    EXPECT_EQ(setup(guest, DOMID_SELF, ~0u, list), GNTST_general_error);
    EXPECT_EQ(setup(guest, 2, 1, list), GNTST_permission_denied);
    EXPECT_EQ(setup(guest, 99, 1, list), GNTST_bad_domain);
    EXPECT_EQ(setup(dom0, 1, 64, list), GNTST_okay);
    EXPECT_NE(list[63], 0u);
    EXPECT_EQ(setup(guest, DOMID_SELF, 1, reinterpret_cast<u64*>(layout::hypervisor_start)), GNTST_bad_virt_addr);
    EXPECT_EQ(setup(guest, DOMID_SELF, 0, nullptr), GNTST_okay);
    gnttab_setup_table op{};
    EXPECT_EQ(grant_op(guest, GNTTABOP_setup_table, &op, 2), error(XEN_EINVAL));
    EXPECT_EQ(grant_op<void>(guest, GNTTABOP_setup_table, nullptr), error(XEN_EFAULT));
    for (u64 i = 0; i < page_size; ++i) EXPECT_EQ(w.bytes(Mfn(list[63]))[i], 0);
}

TEST_F(ControlTest, table_grows_under_use) {
    const Mfn page = w.page(guest);
    ASSERT_TRUE(guest.grants->grow(3));
    offer(guest, 1535, dom0, page);
    const auto op = map(dom0, guest, 1535, GNTMAP_host_map, at);
    EXPECT_EQ(op.status, GNTST_okay);
    ASSERT_TRUE(guest.grants->grow(5));
    EXPECT_EQ(map(dom0, guest, 5 * 512, GNTMAP_host_map, at + 8).status, GNTST_bad_gntref);
    EXPECT_EQ(unmap(dom0, op.handle, at), GNTST_okay);
}

TEST_F(ControlTest, query_size_and_version) {
    gnttab_query_size op{};
    op.dom = DOMID_SELF;
    EXPECT_EQ(grant_op(guest, GNTTABOP_query_size, &op), 0);
    EXPECT_EQ(op.status, GNTST_okay);
    EXPECT_EQ(op.nr_frames, 1u);
    EXPECT_EQ(op.max_nr_frames, 64u);
    op.dom = 2;
    EXPECT_EQ(grant_op(guest, GNTTABOP_query_size, &op), 0);
    EXPECT_EQ(op.status, GNTST_permission_denied);
    op.dom = 99;
    grant_op(dom0, GNTTABOP_query_size, &op);
    EXPECT_EQ(op.status, GNTST_bad_domain);
    EXPECT_EQ(grant_op(guest, GNTTABOP_query_size, &op, 0), error(XEN_EINVAL));

    gnttab_get_version v{};
    v.dom = DOMID_SELF;
    EXPECT_EQ(grant_op(guest, GNTTABOP_get_version, &v), 0);
    EXPECT_EQ(v.version, 1u);
    v.dom = 2;
    EXPECT_EQ(grant_op(guest, GNTTABOP_get_version, &v), error(XEN_EPERM));
    v.dom = 99;
    EXPECT_EQ(grant_op(guest, GNTTABOP_get_version, &v), error(XEN_ESRCH));

    gnttab_dump_table dump{};
    dump.dom = 1;
    EXPECT_EQ(grant_op(dom0, GNTTABOP_dump_table, &dump), error(XEN_ENOSYS));
}

TEST_F(ControlTest, version_switch) {
    EXPECT_EQ(set_version(guest, 1, 1), 0);
    EXPECT_EQ(set_version(guest, 3, 1), error(XEN_EINVAL));
    EXPECT_EQ(set_version(guest, 0, 1), error(XEN_EINVAL));
    const Mfn ring = w.page(guest);
    offer(guest, 1, dom0, ring);
    offer(guest, 2, dom0, ring, GTF_readonly);
    entry_v1(guest, 3).flags = GTF_accept_transfer;
    offer(guest, 100, dom0, ring);
    // The reserved entries may be in use (xenstore's ring is), others not.
    const auto reserved = map(dom0, guest, 1, GNTMAP_host_map, at);
    const auto busy = map(dom0, guest, 100, GNTMAP_host_map, at + 8);
    EXPECT_EQ(set_version(guest, 2, 1), error(XEN_EBUSY));
    EXPECT_EQ(unmap(dom0, busy.handle, at + 8), GNTST_okay);
    EXPECT_EQ(set_version(guest, 2, 2), 0);
    EXPECT_EQ(entry_v2(guest, 1).hdr.flags, GTF_permit_access);
    EXPECT_EQ(entry_v2(guest, 1).hdr.domid, 0);
    EXPECT_EQ(entry_v2(guest, 1).full_page.frame, ring.raw);
    EXPECT_EQ(status_v2(guest, 1), GTF_reading | GTF_writing);
    EXPECT_EQ(entry_v2(guest, 2).hdr.flags, GTF_permit_access | GTF_readonly);
    EXPECT_EQ(status_v2(guest, 2), 0);
    EXPECT_EQ(entry_v2(guest, 3).hdr.flags, 0);
    EXPECT_EQ(entry_v2(guest, 100).hdr.flags, 0);
    EXPECT_EQ(map(dom0, guest, 256, GNTMAP_host_map, at + 8).status, GNTST_bad_gntref);  // half as many
    EXPECT_EQ(set_version(guest, 1, 1), 0);
    EXPECT_EQ(entry_v1(guest, 1).flags, GTF_permit_access | GTF_reading | GTF_writing);
    EXPECT_EQ(entry_v1(guest, 1).frame, ring.raw);
    EXPECT_EQ(unmap(dom0, reserved.handle, at), GNTST_okay);
    EXPECT_EQ(entry_v1(guest, 1).flags, GTF_permit_access);
    EXPECT_EQ(state_of(ring).references(), 1u);
    Domain& old = w.add_domain(7, {.max_frames = 4, .max_maptrack_frames = 4, .max_version = 1});
    EXPECT_EQ(set_version(old, 2, 1), error(XEN_ENOSYS));
    EXPECT_EQ(grant_op<void>(guest, GNTTABOP_set_version, nullptr), error(XEN_EFAULT));
}

TEST_F(ControlTest, key_g_tells_who_uses_what) {
    const Mfn ring = w.page(guest);
    offer(guest, 1, dom0, ring);
    offer(guest, 2, other, ring);
    const auto mapped = map(dom0, guest, 1, GNTMAP_host_map, at);
    text::FixedText<500> out;
    grant::dump(guest, out);
    grant::dump(dom0, out);
    text::FixedText<500> expected;
    text::format(expected,
                 "d1: grant table version 1, frames 1 of 64, entries in use 1; others' mapped 0, in a list of frames 0 of 1024\n"
                 "  1 used by d0: reads 0, writes 1, frame {:x}\n"
                 "d0: grant table version 1, frames 1 of 64, entries in use 0; others' mapped 1, in a list of frames 1 of 1024\n",
                 ring.raw);
    EXPECT_EQ(out.view(), expected.view());
    EXPECT_EQ(unmap(dom0, mapped.handle, at), GNTST_okay);
}

TEST_F(ControlTest, wide_frames_do_not_fit_version_1) {
    ASSERT_EQ(set_version(guest, 2, 2), 0);
    entry_v2(guest, 1).full_page.frame = u64{1} << 33;
    entry_v2(guest, 1).hdr.flags = GTF_permit_access;
    entry_v2(guest, 2).hdr.flags = GTF_permit_access | GTF_sub_page;
    entry_v2(guest, 4).hdr.flags = GTF_transitive;
    ASSERT_EQ(set_version(guest, 1, 1), 0);
    for (u32 ref : {1u, 2u, 4u}) EXPECT_EQ(entry_v1(guest, ref).flags, 0);
}

// XSA-384/486: a status frame that somebody has mapped survives the return to version 1.
TEST_F(ControlTest, status_frames) {
    u64 list[8] = {};
    EXPECT_EQ(status_frames(guest, DOMID_SELF, 1, list), GNTST_general_error);  // version 1 has none
    ASSERT_EQ(set_version(guest, 2, 2), 0);
    EXPECT_EQ(status_frames(guest, DOMID_SELF, 1, list), GNTST_okay);
    PageInfo& page = *find_page(Mfn(list[0]));
    EXPECT_TRUE(get_writable(page, guest.id));
    EXPECT_EQ(set_version(guest, 1, 1), 0);
    EXPECT_FALSE(is_free(mfn_of(page)));
    EXPECT_EQ(status_frames(guest, DOMID_SELF, 1, list), GNTST_general_error);
    EXPECT_EQ(set_version(guest, 2, 2), 0);
    put_writable(page);
    EXPECT_EQ(status_frames(guest, DOMID_SELF, 2, list), GNTST_general_error);
    ASSERT_TRUE(guest.grants->grow(9));  // 2304 entries need two
    EXPECT_EQ(status_frames(guest, DOMID_SELF, 2, list), GNTST_okay);
    EXPECT_EQ(status_frames(other, 1, 1, list), GNTST_permission_denied);
    EXPECT_EQ(status_frames(other, 99, 1, list), GNTST_bad_domain);
    EXPECT_EQ(status_frames(dom0, 1, 1, reinterpret_cast<u64*>(layout::hypervisor_start)), GNTST_bad_virt_addr);
}

TEST_F(ControlTest, resources) {
    EXPECT_EQ(*grant::resource_size(guest, XENMEM_resource_grant_table_id_shared), 64u);
    EXPECT_EQ(*grant::resource_size(guest, XENMEM_resource_grant_table_id_status), 8u);
    EXPECT_EQ(grant::resource_size(guest, 2).error(), XEN_EINVAL);
    u64 f[64] = {};
    EXPECT_TRUE(grant::resource_frames(guest, 0, 2, std::span(f, 2)));
    EXPECT_EQ(guest.grants->frames(), 4u);
    EXPECT_EQ(grant::resource_frames(guest, 0, 63, std::span(f, 2)).error(), XEN_EINVAL);
    EXPECT_EQ(grant::resource_frames(guest, 0, ~u64{0}, std::span(f, 2)).error(), XEN_EINVAL);
    EXPECT_EQ(grant::resource_frames(guest, 1, 0, std::span(f, 1)).error(), XEN_EINVAL);
    ASSERT_TRUE(guest.grants->set_version(2));
    EXPECT_TRUE(grant::resource_frames(guest, 1, 7, std::span(f, 1)));
    EXPECT_EQ(guest.grants->frames(), 57u);
}

TEST_F(ControlTest, swap) {
    const Mfn page = w.page(guest);
    offer(guest, 9, dom0, page);
    gnttab_swap_grant_ref op{9, 10, 77};
    EXPECT_EQ(grant_op(guest, GNTTABOP_swap_grant_ref, &op), 0);
    EXPECT_EQ(op.status, GNTST_okay);
    EXPECT_EQ(entry_v1(guest, 9).flags, 0);
    EXPECT_EQ(entry_v1(guest, 10).frame, page.raw);
    const auto m = map(dom0, guest, 10, GNTMAP_host_map, at);
    grant_op(guest, GNTTABOP_swap_grant_ref, &op);
    EXPECT_EQ(op.status, GNTST_eagain);
    EXPECT_EQ(unmap(dom0, m.handle, at), GNTST_okay);
    op = {9, 512, 77};
    grant_op(guest, GNTTABOP_swap_grant_ref, &op);
    EXPECT_EQ(op.status, GNTST_bad_gntref);
    op = {10, 10, 77};
    grant_op(guest, GNTTABOP_swap_grant_ref, &op);
    EXPECT_EQ(op.status, GNTST_okay);
}

struct TransferTest : ControlTest {
    Mfn page = w.page(guest);
    void accept(u32 ref, Domain& from) {
        entry_v1(other, ref).domid = from.id.raw;
        entry_v1(other, ref).frame = 0x777;
        entry_v1(other, ref).flags = GTF_accept_transfer;
    }
    int transfer(Mfn mfn, u16 to, u32 ref) {
        gnttab_transfer op{mfn.raw, to, ref, 77};
        return grant_op(guest, GNTTABOP_transfer, &op) == 0 ? op.status : 99;
    }
};

TEST_F(TransferTest, hands_the_page_over) {
    w.bytes(page)[5] = 42;
    accept(9, guest);
    EXPECT_EQ(transfer(page, 2, 9), GNTST_okay);
    EXPECT_EQ(find_page(page)->owner(), other.id);
    EXPECT_EQ(entry_v1(other, 9).frame, page.raw);
    EXPECT_EQ(entry_v1(other, 9).flags, GTF_accept_transfer | GTF_transfer_committed | GTF_transfer_completed);
    EXPECT_EQ(port::get_m2p(page), 0x777u);
    EXPECT_EQ(guest.total_pages.load(), 0u);
    EXPECT_EQ(other.total_pages.load(), 1u);
    EXPECT_EQ(w.bytes(page)[5], 42);
    EXPECT_EQ(transfer(w.page(guest), 2, 9), GNTST_general_error);  // an offer counts once
}

TEST_F(TransferTest, refusals) {
    accept(9, guest);
    EXPECT_EQ(transfer(Mfn(1 << 20), 2, 9), GNTST_bad_page);
    EXPECT_EQ(transfer(w.page(dom0), 2, 9), GNTST_bad_page);
    ASSERT_TRUE(get_reference(*find_page(page), guest.id));
    EXPECT_EQ(transfer(page, 2, 9), GNTST_bad_page);  // somebody else uses it
    put_reference(*find_page(page));
    EXPECT_EQ(find_page(page)->owner(), guest.id);
    EXPECT_EQ(entry_v1(other, 9).flags, GTF_accept_transfer);
    // From here on the page is gone for the giver.
    EXPECT_EQ(transfer(page, 99, 9), GNTST_bad_domain);
    EXPECT_TRUE(is_free(page));
    EXPECT_EQ(transfer(w.page(guest), 2, 10), GNTST_general_error);
    EXPECT_EQ(transfer(w.page(guest), 2, 5120), GNTST_general_error);
    accept(11, dom0);
    EXPECT_EQ(transfer(w.page(guest), 2, 11), GNTST_general_error);
    other.max_pages = 0;
    EXPECT_EQ(transfer(w.page(guest), 2, 9), GNTST_general_error);
    EXPECT_EQ(entry_v1(other, 9).flags, GTF_accept_transfer);
    EXPECT_EQ(guest.total_pages.load(), 0u);
    EXPECT_EQ(other.total_pages.load(), 0u);
}

}  // namespace
}  // namespace xylem::test
