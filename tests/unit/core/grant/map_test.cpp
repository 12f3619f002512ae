// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "core/mem/table_types.hpp"
#include "tests/unit/core/grant/world.hpp"

namespace xylem::test {
namespace {

constexpr u32 rw = GNTMAP_host_map;
constexpr u32 ro = GNTMAP_host_map | GNTMAP_readonly;
constexpr u32 all_marks = GTF_reading | GTF_writing;
constexpr u64 at = 0x7000'0000;

struct MapTest : testing::Test {
    World w;
    Domain& dom0 = w.add_domain(0);
    Domain& guest = w.add_domain(1);
    Domain& other = w.add_domain(2);
    Mfn page = w.page(guest);

    u32 marks(u32 ref) { return entry_v1(guest, ref).flags & all_marks; }
};

TEST_F(MapTest, writable_mapping_and_back) {
    offer(guest, 9, dom0, page);
    const auto op = map(dom0, guest, 9, rw | GNTMAP_application_map | (1u << _GNTMAP_guest_avail0), at);
    ASSERT_EQ(op.status, GNTST_okay);
    EXPECT_EQ(op.handle, 0u);
    EXPECT_EQ(op.dev_bus_addr, maddr_of(page).raw);
    const Entry e = w.entries.at({at, false});
    EXPECT_EQ(e.mfn, page);
    EXPECT_FALSE(e.readonly);
    EXPECT_TRUE(e.user);
    EXPECT_EQ(e.avail_bits, 1u);
    EXPECT_EQ(marks(9), all_marks);
    EXPECT_EQ(state_of(page).references(), 3u);  // owner, entry in use, page-table entry
    EXPECT_EQ(state_of(page).type_uses(), 1u);
    EXPECT_EQ(w.device_access.size(), 1u);

    u32 seen_at_flush = 0;
    w.on_flush = [&] { seen_at_flush = marks(9); };
    EXPECT_EQ(unmap(dom0, op.handle, at), GNTST_okay);
    EXPECT_EQ(seen_at_flush, all_marks);  // told to the granter only after the flush
    EXPECT_EQ(w.flushes, 1u);
    EXPECT_EQ(marks(9), 0u);
    EXPECT_EQ(state_of(page).references(), 1u);
    EXPECT_EQ(state_of(page).type_uses(), 0u);
    EXPECT_TRUE(w.device_access.empty());
    EXPECT_EQ(dom0.grants->maptrack().live(), 0u);
    EXPECT_EQ(unmap(dom0, op.handle, at), GNTST_bad_handle);
    EXPECT_EQ(guest.references.load(), 1u);
}

TEST_F(MapTest, marks_follow_the_last_mapping_of_a_kind) {
    offer(guest, 9, dom0, page);
    const auto a = map(dom0, guest, 9, ro, at);
    EXPECT_EQ(marks(9), u32{GTF_reading});
    const auto b = map(dom0, guest, 9, rw, at + page_size);
    EXPECT_EQ(marks(9), all_marks);
    const auto c = map(dom0, guest, 9, rw | GNTMAP_contains_pte, at);
    EXPECT_EQ(c.status, GNTST_okay);
    EXPECT_EQ(unmap(dom0, b.handle, at + page_size), GNTST_okay);
    EXPECT_EQ(marks(9), all_marks);
    EXPECT_EQ(unmap(dom0, c.handle, at), GNTST_okay);
    EXPECT_EQ(marks(9), u32{GTF_reading});
    EXPECT_EQ(unmap(dom0, a.handle, at), GNTST_okay);
    EXPECT_EQ(marks(9), 0u);
    EXPECT_EQ(state_of(page).references(), 1u);
}

TEST_F(MapTest, device_mapping) {
    offer(guest, 9, dom0, page);
    const auto op = map(dom0, guest, 9, GNTMAP_device_map | rw, at);
    ASSERT_EQ(op.status, GNTST_okay);
    EXPECT_EQ(guest.grants->uses_of(9), grant::pin::host_write + grant::pin::device_write);
    // XSA-224: a wrong bus address undoes nothing, and a part is undone once.
    EXPECT_EQ(unmap(dom0, op.handle, at, 4096), GNTST_bad_dev_addr);
    EXPECT_EQ(guest.grants->uses_of(9), grant::pin::host_write + grant::pin::device_write);
    EXPECT_EQ(unmap(dom0, op.handle, 0, op.dev_bus_addr), GNTST_okay);
    EXPECT_EQ(unmap(dom0, op.handle, 0, op.dev_bus_addr), GNTST_okay);  // nothing of it left: no change
    EXPECT_EQ(guest.grants->uses_of(9), grant::pin::host_write);
    EXPECT_EQ(marks(9), all_marks);
    EXPECT_EQ(w.device_access.size(), 1u);
    EXPECT_EQ(unmap(dom0, op.handle, 0, 0), GNTST_okay);
    EXPECT_EQ(unmap(dom0, op.handle, at, 0), GNTST_okay);
    EXPECT_EQ(guest.grants->uses_of(9), 0u);
    EXPECT_EQ(marks(9), 0u);
    EXPECT_TRUE(w.device_access.empty());
    EXPECT_EQ(state_of(page).references(), 1u);

    const auto only = map(dom0, guest, 9, GNTMAP_device_map | GNTMAP_readonly, 0);
    ASSERT_EQ(only.status, GNTST_okay);
    EXPECT_EQ(marks(9), u32{GTF_reading});
    EXPECT_TRUE(w.entries.empty());
    EXPECT_EQ(unmap(dom0, only.handle, 0, only.dev_bus_addr), GNTST_okay);
    EXPECT_EQ(state_of(page).references(), 1u);
}

TEST_F(MapTest, refusals) {
    offer(guest, 9, dom0, page);
    EXPECT_EQ(map(dom0, guest, 9, GNTMAP_readonly, at).status, GNTST_bad_gntref);  // neither host nor device
    EXPECT_EQ(map(dom0, guest, 512, rw, at).status, GNTST_bad_gntref);
    EXPECT_EQ(map(dom0, guest, ~0u, rw, at).status, GNTST_bad_gntref);
    EXPECT_EQ(map(dom0, guest, 10, rw, at).status, GNTST_general_error);  // not offered
    EXPECT_EQ(map(other, guest, 9, rw, at).status, GNTST_general_error);  // not to this domain
    offer(guest, 11, dom0, page, GTF_readonly);
    EXPECT_EQ(map(dom0, guest, 11, rw, at).status, GNTST_general_error);
    offer(guest, 12, dom0, w.page(other));
    EXPECT_EQ(map(dom0, guest, 12, ro, at).status, GNTST_general_error);  // another's page
    offer(guest, 13, dom0, Mfn(0xfff'ffff));
    EXPECT_EQ(map(dom0, guest, 13, ro, at).status, GNTST_general_error);
    for (u32 ref : {10u, 11u, 12u, 13u}) EXPECT_EQ(marks(ref), 0u) << ref;
    gnttab_map_grant_ref op{};
    op.flags = rw;
    op.dom = 55;
    EXPECT_EQ(grant_op(dom0, GNTTABOP_map_grant_ref, &op), 0);
    EXPECT_EQ(op.status, GNTST_bad_domain);
    op.dom = DOMID_SELF;
    grant_op(dom0, GNTTABOP_map_grant_ref, &op);
    EXPECT_EQ(op.status, GNTST_bad_domain);
    guest.life = Life::dying;
    EXPECT_EQ(map(dom0, guest, 9, rw, at).status, GNTST_bad_domain);
    guest.life = Life::alive;
    w.refuse_map = true;
    EXPECT_EQ(map(dom0, guest, 9, rw, at).status, GNTST_general_error);
    w.refuse_map = false;
    EXPECT_EQ(map(dom0, guest, 9, rw, layout::hypervisor_start).status, GNTST_bad_virt_addr);
    w.refuse_device = true;
    EXPECT_EQ(map(dom0, guest, 9, rw | GNTMAP_device_map, at).status, GNTST_no_device_space);
    EXPECT_EQ(marks(9), 0u);
    EXPECT_EQ(state_of(page).references(), 1u);
    EXPECT_EQ(state_of(page).type_uses(), 0u);
    EXPECT_EQ(dom0.grants->maptrack().live(), 0u);
    EXPECT_EQ(guest.references.load(), 1u);
}

TEST_F(MapTest, page_table_is_mapped_only_for_reading) {
    PageInfo& info = *find_page(page);
    ASSERT_TRUE(get_reference(info, guest.id));
    ASSERT_TRUE(get_type_use(info, PageType::l1));
    offer(guest, 9, dom0, page);
    EXPECT_EQ(map(dom0, guest, 9, rw, at).status, GNTST_general_error);
    EXPECT_EQ(marks(9), 0u);
    const auto op = map(dom0, guest, 9, ro, at);
    EXPECT_EQ(op.status, GNTST_okay);
    EXPECT_EQ(unmap(dom0, op.handle, at), GNTST_okay);
    put_type_use(info);
    put_reference(info);
    EXPECT_EQ(state_of(page).references(), 1u);
}

TEST_F(MapTest, shared_entry_is_believed_once) {
    offer(guest, 9, dom0, page);
    const auto a = map(dom0, guest, 9, rw, at);
    // The granter rewrites its entry: what is in use stays what it was.
    entry_v1(guest, 9).frame = static_cast<u32>(w.page(guest).raw);
    const auto b = map(dom0, guest, 9, rw, at + 1);
    EXPECT_EQ(b.status, GNTST_okay);
    EXPECT_EQ(b.dev_bus_addr, a.dev_bus_addr);
    entry_v1(guest, 9).flags = 0;
    entry_v1(guest, 9).domid = 2;
    EXPECT_EQ(map(other, guest, 9, rw, at + 2).status, GNTST_general_error);
    EXPECT_EQ(unmap(dom0, a.handle, at), GNTST_okay);
    EXPECT_EQ(unmap(dom0, b.handle, at + 1), GNTST_okay);
    EXPECT_EQ(state_of(page).references(), 1u);
}

TEST_F(MapTest, entry_that_changed_is_not_unmapped) {
    offer(guest, 9, dom0, page);
    const auto op = map(dom0, guest, 9, rw, at);
    EXPECT_EQ(unmap(dom0, op.handle, at + 8), GNTST_general_error);
    EXPECT_EQ(marks(9), all_marks);
    w.clear_entry(at, false);  // the guest destroys it by other means
    EXPECT_EQ(unmap(dom0, op.handle, at), GNTST_general_error);
    // The use lasts: the page is not reusable although its owner lets go.
    EXPECT_EQ(marks(9), all_marks);
    ASSERT_TRUE(release_domain_page(guest, *find_page(page)));
    EXPECT_FALSE(is_free(page));
    w.remove_domain(dom0);
    EXPECT_TRUE(is_free(page));
}

TEST_F(MapTest, batch_of_unmaps_flushes_once_per_batch) {
    constexpr u32 n = 70;
    std::vector<gnttab_map_grant_ref> maps(n);
    for (u32 i = 0; i < n; ++i) {
        offer(guest, 20 + i, dom0, w.page(guest));
        maps[i].host_addr = at + i * page_size;
        maps[i].flags = rw;
        maps[i].ref = 20 + i;
        maps[i].dom = 1;
    }
    EXPECT_EQ(grant_op(dom0, GNTTABOP_map_grant_ref, maps.data(), n), 0);
    EXPECT_TRUE(w.preempted(2));
    std::vector<gnttab_unmap_grant_ref> unmaps(n);
    for (u32 i = 0; i < n; ++i) {
        EXPECT_EQ(maps[i].status, GNTST_okay);
        EXPECT_EQ(maps[i].handle, i);
        unmaps[i].host_addr = maps[i].host_addr;
        unmaps[i].handle = maps[i].handle;
    }
    unmaps[n - 1].handle = unmaps[0].handle;  // twice in one call
    EXPECT_EQ(grant_op(dom0, GNTTABOP_unmap_grant_ref, unmaps.data(), n), 0);
    EXPECT_EQ(w.flushes, 3u);
    for (u32 i = 0; i + 1 < n; ++i) EXPECT_EQ(unmaps[i].status, GNTST_okay);
    EXPECT_EQ(unmaps[n - 1].status, GNTST_bad_handle);
    EXPECT_EQ(dom0.grants->maptrack().live(), 1u);
}

TEST_F(MapTest, same_handle_in_one_batch) {
    offer(guest, 9, dom0, page);
    const auto op = map(dom0, guest, 9, rw | GNTMAP_device_map, at);
    gnttab_unmap_grant_ref ops[3]{};
    ops[0].host_addr = at;
    ops[0].handle = ops[1].handle = ops[2].handle = op.handle;
    ops[1].dev_bus_addr = op.dev_bus_addr;
    ops[2].host_addr = at;
    EXPECT_EQ(grant_op(dom0, GNTTABOP_unmap_grant_ref, ops, 3), 0);
    EXPECT_EQ(ops[0].status, GNTST_okay);
    EXPECT_EQ(ops[1].status, GNTST_okay);
    EXPECT_EQ(ops[2].status, GNTST_bad_handle);
    EXPECT_EQ(dom0.grants->maptrack().live(), 0u);
    EXPECT_EQ(state_of(page).references(), 1u);
}

TEST_F(MapTest, unmap_and_replace) {
    offer(guest, 9, dom0, page);
    offer(guest, 10, dom0, w.page(guest));
    const auto a = map(dom0, guest, 9, rw, at);
    const auto b = map(dom0, guest, 10, rw, at + page_size);
    gnttab_unmap_and_replace op{};
    op.host_addr = at;
    op.new_addr = at + page_size;
    op.handle = a.handle;
    EXPECT_EQ(grant_op(dom0, GNTTABOP_unmap_and_replace, &op), 0);
    EXPECT_EQ(op.status, GNTST_okay);
    EXPECT_EQ(w.entries.at({at, false}).mfn, mfn_of(Maddr(b.dev_bus_addr)));
    EXPECT_EQ(state_of(page).references(), 1u);
    op.handle = 7000;
    EXPECT_EQ(grant_op(dom0, GNTTABOP_unmap_and_replace, &op), 0);
    EXPECT_EQ(op.status, GNTST_bad_handle);
    const auto c = map(dom0, guest, 9, rw | GNTMAP_contains_pte, at + 64);
    op.handle = c.handle;
    op.host_addr = at + 64;
    EXPECT_EQ(grant_op(dom0, GNTTABOP_unmap_and_replace, &op), 0);
    EXPECT_EQ(op.status, GNTST_general_error);
    op.new_addr = 0;
    EXPECT_EQ(grant_op(dom0, GNTTABOP_unmap_and_replace, &op), 0);
    EXPECT_EQ(op.status, GNTST_okay);
    EXPECT_EQ(unmap(dom0, b.handle, at), GNTST_okay);
}

TEST_F(MapTest, handles_run_out) {
    Domain& small = w.add_domain(5, {.max_frames = 1, .max_maptrack_frames = 1, .max_version = 1});
    offer(guest, 9, small, page);
    for (u32 i = 0; i < 256; ++i) ASSERT_EQ(map(small, guest, 9, ro, at + i * 8).status, GNTST_okay);
    EXPECT_EQ(map(small, guest, 9, ro, at - 8).status, GNTST_no_space);
    EXPECT_EQ(unmap(small, 100, at + 100 * 8), GNTST_okay);
    const auto again = map(small, guest, 9, ro, at - 8);
    EXPECT_EQ(again.status, GNTST_okay);
    EXPECT_EQ(again.handle, 100u);
    EXPECT_EQ(marks(9), u32{GTF_reading});
}

// More frames of handles than their list first has room for, and not twice as many as it then has.
TEST_F(MapTest, handles_outgrow_their_list) {
    constexpr u32 count = 40 * grant::Maptrack::per_frame;
    Domain& big = w.add_domain(5, {.max_frames = 1, .max_maptrack_frames = 40, .max_version = 1});
    offer(guest, 9, big, page);
    for (u32 i = 0; i < count; ++i) ASSERT_EQ(map(big, guest, 9, ro, at + i * 8).handle, i);
    EXPECT_EQ(map(big, guest, 9, ro, at - 8).status, GNTST_no_space);
    EXPECT_EQ(big.grants->maptrack().limit(), count);
    for (u32 i = 0; i < count; ++i) ASSERT_EQ(unmap(big, i, at + i * 8), GNTST_okay);
    EXPECT_EQ(big.grants->maptrack().live(), 0u);
    EXPECT_EQ(marks(9), 0u);
}

TEST_F(MapTest, count_of_uses_is_bounded) {
    offer(guest, 9, dom0, page);
    grant::Grant g;
    for (u32 i = 0; i < 65535; ++i)
        ASSERT_EQ(guest.grants->begin_use(9, dom0.id, grant::pin::host_read, grant::Use::map, g), GNTST_okay);
    EXPECT_EQ(map(dom0, guest, 9, ro, at).status, GNTST_no_space);
    const auto op = map(dom0, guest, 9, rw, at);
    EXPECT_EQ(op.status, GNTST_okay);
    EXPECT_EQ(unmap(dom0, op.handle, at), GNTST_okay);
    for (u32 i = 0; i < 65535; ++i) guest.grants->end_use(9, grant::pin::host_read);
    EXPECT_EQ(marks(9), 0u);
    EXPECT_EQ(state_of(page).references(), 1u);
}

TEST_F(MapTest, own_grant) {
    offer(guest, 9, guest, page);
    const auto op = map(guest, guest, 9, rw, at);
    EXPECT_EQ(op.status, GNTST_okay);
    EXPECT_EQ(unmap(guest, op.handle, at), GNTST_okay);
    EXPECT_EQ(state_of(page).references(), 1u);
}

TEST_F(MapTest, faults) {
    EXPECT_EQ(grant_op<void>(dom0, GNTTABOP_map_grant_ref, nullptr, 1), error(XEN_EFAULT));
    EXPECT_EQ(grant_op<void>(dom0, GNTTABOP_map_grant_ref, nullptr, 0), 0);
    EXPECT_EQ(grant_op<void>(dom0, GNTTABOP_map_grant_ref, nullptr, 1ull << 31), error(XEN_EINVAL));
    EXPECT_EQ(grant_op(dom0, GNTTABOP_unmap_grant_ref, reinterpret_cast<u8*>(layout::hypervisor_start)), error(XEN_EFAULT));
    EXPECT_EQ(grant_op<void>(dom0, 99, nullptr), error(XEN_ENOSYS));
    EXPECT_EQ(grant_op<void>(dom0, GNTTABOP_cache_flush, nullptr), error(XEN_EOPNOTSUPP));
}

TEST_F(MapTest, mapper_dies) {
    for (u32 i = 0; i < 100; ++i) {
        offer(guest, 20 + i, other, page);
        ASSERT_EQ(map(other, guest, 20 + i, i % 2 != 0 ? rw : ro | GNTMAP_device_map, at + i * page_size).status, GNTST_okay);
    }
    w.preemptions = 0;
    w.remove_domain(other);
    EXPECT_TRUE(!w.counts_preemptions || w.preemptions >= 3);
    for (u32 i = 0; i < 100; ++i) EXPECT_EQ(marks(20 + i), 0u);
    EXPECT_TRUE(w.device_access.empty());
    EXPECT_EQ(guest.references.load(), 1u);
    EXPECT_EQ(state_of(page).references(), 1u + 100);  // the page tables of the dead domain still hold it
    EXPECT_EQ(map(other, guest, 20, rw, at).status, GNTST_no_space);
    grant::release_all_mappings(other);
}

TEST_F(MapTest, granter_dies_first) {
    offer(guest, 9, dom0, page);
    const auto op = map(dom0, guest, 9, rw, at);
    w.remove_domain(guest);
    EXPECT_EQ(guest.references.load(), 2u);  // the handle keeps the structure
    EXPECT_FALSE(is_free(page));
    EXPECT_EQ(unmap(dom0, op.handle, at), GNTST_okay);
    EXPECT_TRUE(is_free(page));
    EXPECT_EQ(guest.references.load(), 1u);
}

}  // namespace
}  // namespace xylem::test
