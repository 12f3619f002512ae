// SPDX-License-Identifier: MIT
#include "core/mem/memory_op.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "core/mem/table_types.hpp"
#include "tests/unit/core/grant/world.hpp"

namespace xylem::test {
namespace {

struct MemoryOpTest : testing::Test {
    World w;
    Domain& dom0 = w.add_domain(0);
    Domain& guest = w.add_domain(1);
    u64 free_before = frames().free_frames();

    xen_memory_reservation reservation(u64* list, u64 count, u32 order = 0, u16 domid = DOMID_SELF) {
        xen_memory_reservation r{};
        r.extent_start.p = list;
        r.nr_extents = count;
        r.extent_order = order;
        r.domid = domid;
        return r;
    }
    std::vector<u64> populate(Domain& d, u64 count, u64 first_gfn = 0x1000) {
        std::vector<u64> list(count);
        for (u64 i = 0; i < count; ++i) list[i] = first_gfn + i;
        auto r = reservation(list.data(), count);
        EXPECT_EQ(mem_op(d, XENMEM_populate_physmap, &r), static_cast<long>(count));
        return list;
    }
};

TEST_F(MemoryOpTest, populate) {
    std::vector<u64> list(100);
    for (u64 i = 0; i < 100; ++i) list[i] = 0x5000 + i * 8;
    auto r = reservation(list.data(), 100, 3, 1);
    EXPECT_EQ(mem_op(dom0, XENMEM_populate_physmap, &r), 100);
    EXPECT_EQ(guest.total_pages.load(), 800u);
    EXPECT_TRUE(!w.counts_preemptions || w.preemptions >= 1);
    for (u64 i = 0; i < 100; ++i) {
        EXPECT_EQ(list[i] % 8, 0u);
        for (u64 k = 0; k < 8; ++k) {
            EXPECT_EQ(port::get_m2p(Mfn(list[i] + k)), 0x5000 + i * 8 + k);
            EXPECT_EQ(find_page(Mfn(list[i] + k))->owner(), guest.id);
        }
    }
    u64 one = 7;
    r = reservation(&one, 1, 0, 1);
    Domain& other = w.add_domain(2);
    EXPECT_EQ(mem_op(other, XENMEM_populate_physmap, &r), error(XEN_EPERM));
    r.domid = 99;
    EXPECT_EQ(mem_op(dom0, XENMEM_populate_physmap, &r), error(XEN_ESRCH));
}

TEST_F(MemoryOpTest, populate_up_to_the_maximum) {
    guest.max_pages = 70;
    std::vector<u64> list(100, 3);
    auto r = reservation(list.data(), 100);
    EXPECT_EQ(mem_op(guest, XENMEM_populate_physmap, &r), 70);
    EXPECT_EQ(mem_op(guest, XENMEM_populate_physmap, &r), 0);
    EXPECT_EQ(guest.total_pages.load(), 70u);
    EXPECT_NE(list[69], 3u);
    EXPECT_EQ(list[70], 3u);
}

// A guest that gives back what it keeps mapped gets nothing for it until the last use is gone.
TEST_F(MemoryOpTest, held_pages_count_against_the_maximum) {
    guest.max_pages = 8;
    auto list = populate(guest, 8);
    for (u64 mfn : list) ASSERT_TRUE(get_writable(*find_page(Mfn(mfn)), guest.id));
    auto r = reservation(list.data(), 8);
    EXPECT_EQ(mem_op(guest, XENMEM_decrease_reservation, &r), 8);
    EXPECT_EQ(guest.total_pages.load(), 8u);
    u64 more = 0x2000;
    auto one = reservation(&more, 1);
    EXPECT_EQ(mem_op(guest, XENMEM_populate_physmap, &one), 0);
    put_writable(*find_page(Mfn(list[0])));
    EXPECT_EQ(guest.total_pages.load(), 7u);
    EXPECT_EQ(mem_op(guest, XENMEM_populate_physmap, &one), 1);
    EXPECT_EQ(mem_op(guest, XENMEM_decrease_reservation, &one), 1);
    // The domain dies: what it let go and still holds leaves the account, and no later domain of its number gets at it.
    PageInfo& kept = *find_page(Mfn(list[1]));
    orphan_domain_page(guest, kept);
    EXPECT_EQ(guest.total_pages.load(), 6u);
    EXPECT_FALSE(get_reference(kept, guest.id));
    EXPECT_FALSE(is_free(Mfn(list[1])));
    for (u64 i = 1; i < 8; ++i) put_writable(*find_page(Mfn(list[i])));
    EXPECT_EQ(guest.total_pages.load(), 0u);
    EXPECT_EQ(frames().free_frames(), free_before);
}

TEST_F(MemoryOpTest, populate_refusals) {
    u64 one = 7;
    auto r = reservation(&one, 1, 10);
    EXPECT_EQ(mem_op(guest, XENMEM_populate_physmap, &r), error(XEN_EPERM));
    EXPECT_EQ(mem_op(dom0, XENMEM_populate_physmap, &r), 1);
    r.extent_order = 13;
    EXPECT_EQ(mem_op(dom0, XENMEM_populate_physmap, &r), error(XEN_EPERM));
    r = reservation(&one, 1);
    r.mem_flags = XENMEMF_address_bits(12);
    EXPECT_EQ(mem_op(guest, XENMEM_populate_physmap, &r), error(XEN_EINVAL));
    r.mem_flags = XENMEMF_address_bits(24);  // below 16 MiB
    EXPECT_EQ(mem_op(guest, XENMEM_populate_physmap, &r), 1);
    EXPECT_LT(one, 4096u);
    r.mem_flags = 0;
    guest.life = Life::dying;
    EXPECT_EQ(mem_op(guest, XENMEM_populate_physmap, &r), error(XEN_EINVAL));
    guest.life = Life::alive;
    r.extent_start.p = reinterpret_cast<u64*>(layout::hypervisor_start);
    EXPECT_EQ(mem_op(guest, XENMEM_populate_physmap, &r), error(XEN_EFAULT));
    u64 some[64] = {};
    r.extent_start.p = some;
    r.nr_extents = ~u64{0};  // more than can be: ends by memory or by the list
    guest.max_pages = guest.total_pages.load();
    EXPECT_EQ(mem_op(guest, XENMEM_populate_physmap, &r), 0);
    EXPECT_EQ(mem_op(guest, XENMEM_populate_physmap, nullptr), error(XEN_EFAULT));
}

TEST_F(MemoryOpTest, increase_and_decrease) {
    u64 list[4] = {};
    auto r = reservation(list, 4, 2);
    EXPECT_EQ(mem_op(guest, XENMEM_increase_reservation, &r), 4);
    EXPECT_EQ(guest.total_pages.load(), 16u);
    EXPECT_EQ(port::get_m2p(Mfn(list[3])), invalid_m2p_entry);
    // A frame that is still used somewhere is freed later, and stays on the account until then.
    PageInfo& used = *find_page(Mfn(list[1]));
    ASSERT_TRUE(get_reference(used, guest.id));
    EXPECT_EQ(mem_op(guest, XENMEM_decrease_reservation, &r), 4);
    EXPECT_EQ(guest.total_pages.load(), 1u);
    EXPECT_FALSE(is_free(mfn_of(used)));
    put_reference(used);
    EXPECT_TRUE(is_free(mfn_of(used)));
    EXPECT_EQ(guest.total_pages.load(), 0u);
    EXPECT_EQ(frames().free_frames(), free_before);
    EXPECT_EQ(mem_op(guest, XENMEM_decrease_reservation, &r), 0);  // not the guest's any more

    auto mine = populate(guest, 3);
    u64 gone[3] = {mine[0], w.page(dom0).raw, mine[2]};
    r = reservation(gone, 3);
    EXPECT_EQ(mem_op(guest, XENMEM_decrease_reservation, &r), 1);  // stops at another's
    EXPECT_EQ(port::get_m2p(Mfn(mine[0])), invalid_m2p_entry);
    gone[0] = ~u64{0};
    EXPECT_EQ(mem_op(guest, XENMEM_decrease_reservation, &r), 0);
    r = reservation(nullptr, 2);
    EXPECT_EQ(mem_op(guest, XENMEM_increase_reservation, &r), 2);
    EXPECT_EQ(mem_op(guest, XENMEM_decrease_reservation, &r), error(XEN_EFAULT));
}

struct ExchangeTest : MemoryOpTest {
    xen_memory_exchange exchange(u64* in, u64 n_in, u32 order_in, u64* out, u64 n_out, u32 order_out, u32 bits = 0) {
        xen_memory_exchange e{};
        e.in = reservation(in, n_in, order_in);
        e.out = reservation(out, n_out, order_out);
        e.out.mem_flags = XENMEMF_address_bits(bits);
        return e;
    }
};

// What dom0's swiotlb does at boot.
TEST_F(ExchangeTest, single_frames_for_a_run) {
    auto in = populate(guest, 128, 0x100);
    guest.max_pages = 128;  // full
    u64 out[2] = {0x100, 0x140};
    auto e = exchange(in.data(), 128, 0, out, 2, 6, 25);
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, &e), 0);
    EXPECT_EQ(e.nr_exchanged, 128u);
    EXPECT_TRUE(w.preempted(1));
    for (u64 i = 0; i < 2; ++i) {
        EXPECT_EQ(out[i] % 64, 0u);
        EXPECT_LE((out[i] + 64) * page_size, u64{1} << 25);
        for (u64 k = 0; k < 64; ++k) {
            EXPECT_EQ(port::get_m2p(Mfn(out[i] + k)), 0x100 + i * 64 + k);
            EXPECT_EQ(find_page(Mfn(out[i] + k))->owner(), guest.id);
        }
    }
    for (u64 mfn : in) {
        if (mfn - out[0] < 64 || mfn - out[1] < 64) continue;
        EXPECT_TRUE(is_free(Mfn(mfn)));
        EXPECT_EQ(port::get_m2p(Mfn(mfn)), invalid_m2p_entry);
    }
    EXPECT_EQ(guest.total_pages.load(), 128u);
    EXPECT_EQ(frames().free_frames(), free_before - 128);
}

TEST_F(ExchangeTest, a_run_for_single_frames) {
    u64 in[2] = {0x100, 0x200};
    auto r = reservation(in, 2, 9);
    ASSERT_EQ(mem_op(guest, XENMEM_populate_physmap, &r), 2);
    std::vector<u64> out(1024);
    for (u64 i = 0; i < 1024; ++i) out[i] = 0x4000 + i;
    auto e = exchange(in, 2, 9, out.data(), 1024, 0);
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, &e), 0);
    EXPECT_EQ(e.nr_exchanged, 2u);
    for (u64 i = 0; i < 1024; ++i) EXPECT_EQ(port::get_m2p(Mfn(out[i])), 0x4000 + i);
    EXPECT_EQ(guest.total_pages.load(), 1024u);
}

// nr_exchanged is exact, and the failing chunk is as if never tried.
TEST_F(ExchangeTest, stops_at_a_frame_in_use) {
    auto in = populate(guest, 12, 0x100);
    u64 out[3] = {0x100, 0x104, 0x108};
    PageInfo& used = *find_page(Mfn(in[6]));
    ASSERT_TRUE(get_reference(used, guest.id));
    auto e = exchange(in.data(), 12, 0, out, 3, 2);
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, &e), error(XEN_EINVAL));
    EXPECT_EQ(e.nr_exchanged, 4u);
    EXPECT_EQ(out[1], 0x104u);
    EXPECT_EQ(out[2], 0x108u);
    for (u64 i = 4; i < 12; ++i) {
        EXPECT_EQ(port::get_m2p(Mfn(in[i])), 0x100 + i);
        EXPECT_EQ(find_page(Mfn(in[i]))->owner(), guest.id);
        EXPECT_TRUE(state_of(Mfn(in[i])).has(PageState::owned_bit));
    }
    EXPECT_EQ(guest.total_pages.load(), 12u);
    put_reference(used);
    // And goes on where it stopped.
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, &e), 0);
    EXPECT_EQ(e.nr_exchanged, 12u);
    EXPECT_EQ(port::get_m2p(Mfn(out[2]) + 3), 0x10bu);
}

TEST_F(ExchangeTest, stops_without_memory_or_list) {
    auto in = populate(guest, 4, 0x100);
    u64 out[1] = {0x100};
    auto e = exchange(in.data(), 4, 0, out, 1, 2, 13);  // nothing below 8 KiB
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, &e), error(XEN_ENOMEM));
    EXPECT_EQ(e.nr_exchanged, 0u);
    e = exchange(in.data(), 4, 0, reinterpret_cast<u64*>(layout::hypervisor_start), 1, 2);
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, &e), error(XEN_EFAULT));
    // XSA-212: the range is checked with its start, and wraps nowhere.
    e = exchange(in.data(), ~u64{0} >> 2, 0, out, ~u64{0} >> 4, 2);
    e.in.nr_extents = u64{1} << 60;
    e.out.nr_extents = u64{1} << 58;
    e.nr_exchanged = (u64{1} << 60) - 4;
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, &e), error(XEN_EFAULT));
    EXPECT_EQ(e.nr_exchanged, (u64{1} << 60) - 4);
    // The same frame twice.
    u64 twice[4] = {in[0], in[1], in[1], in[2]};
    e = exchange(twice, 4, 0, out, 1, 2);
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, &e), error(XEN_EINVAL));
    for (u64 i = 0; i < 4; ++i) {
        EXPECT_EQ(find_page(Mfn(in[i]))->owner(), guest.id);
        EXPECT_EQ(port::get_m2p(Mfn(in[i])), 0x100 + i);
    }
    EXPECT_EQ(guest.total_pages.load(), 4u);
    EXPECT_EQ(frames().free_frames(), free_before - 4);
}

TEST_F(ExchangeTest, malformed) {
    u64 in[4] = {};
    u64 out[1] = {};
    auto e = exchange(in, 4, 0, out, 1, 2);
    e.out.domid = 0;
    EXPECT_EQ(mem_op(dom0, XENMEM_exchange, &e), error(XEN_EINVAL));
    e = exchange(in, 3, 0, out, 1, 2);
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, &e), error(XEN_EINVAL));
    e = exchange(in, 4, 0, out, 1, 2);
    e.nr_exchanged = 5;
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, &e), error(XEN_EINVAL));
    e = exchange(in, u64{1} << 63, 1, out, 0, 2);  // overflows to equal sizes
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, &e), error(XEN_EINVAL));
    e = exchange(in, 4, 0, out, 1, 10);
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, &e), error(XEN_EPERM));
    e = exchange(in, 4, 0, out, 1, 2, 5);
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, &e), error(XEN_EINVAL));
    e = exchange(in, 4, 0, out, 1, 2);
    e.in.domid = e.out.domid = 0;
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, &e), error(XEN_EPERM));
    e = exchange(in, 0, 0, out, 0, 2);
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, &e), 0);
    EXPECT_EQ(mem_op(guest, XENMEM_exchange, nullptr), error(XEN_EFAULT));
}

TEST_F(MemoryOpTest, numbers) {
    populate(guest, 5);
    xen_memory_domain d{DOMID_SELF};
    EXPECT_EQ(mem_op(guest, XENMEM_current_reservation, &d), 5);
    EXPECT_EQ(mem_op(guest, XENMEM_maximum_reservation, &d), 4096);
    EXPECT_EQ(mem_op(guest, XENMEM_maximum_gpfn, &d), 0x1234);
    guest.max_pages = ~u64{0};
    d.domid = 1;
    EXPECT_EQ(mem_op(dom0, XENMEM_maximum_reservation, &d), 0xffff'ffffL);
    d.domid = 0;
    EXPECT_EQ(mem_op(guest, XENMEM_current_reservation, &d), error(XEN_EPERM));
    d.domid = 99;
    EXPECT_EQ(mem_op(dom0, XENMEM_current_reservation, &d), error(XEN_ESRCH));
    EXPECT_EQ(mem_op(guest, XENMEM_maximum_ram_page, nullptr), static_cast<long>(layout::frame_count()));
    EXPECT_EQ(mem_op(dom0, XENMEM_get_sharing_freed_pages, nullptr), 0);
    EXPECT_EQ(mem_op(dom0, XENMEM_get_sharing_shared_pages, nullptr), 0);
    EXPECT_EQ(mem_op(dom0, XENMEM_get_vnumainfo, nullptr), error(XEN_EOPNOTSUPP));
    EXPECT_EQ(mem_op(dom0, XENMEM_machphys_compat_mfn_list, nullptr), error(XEN_EOPNOTSUPP));
    xen_pod_target pod{};
    pod.domid = 99;
    EXPECT_EQ(mem_op(dom0, XENMEM_set_pod_target, &pod), error(XEN_ESRCH));
    pod.domid = 1;
    EXPECT_EQ(mem_op(dom0, XENMEM_get_pod_target, &pod), error(XEN_EINVAL));
    xen_add_to_physmap add{};
    add.domid = 1;
    EXPECT_EQ(mem_op(dom0, XENMEM_add_to_physmap, &add), error(XEN_EACCES));
    EXPECT_EQ(mem_op(guest, XENMEM_add_to_physmap, nullptr), error(XEN_EFAULT));
    for (int op : {XENMEM_access_op, XENMEM_paging_op, XENMEM_sharing_op, 60, 8})
        EXPECT_EQ(mem_op(dom0, static_cast<u32>(op), nullptr), error(XEN_ENOSYS)) << op;
    xen_machphys_mapping m{};
    EXPECT_EQ(mem_op(guest, XENMEM_machphys_mapping, &m), 0);
    EXPECT_EQ(m.v_start, 0xffff'8000'0000'0000u);
    EXPECT_EQ(m.v_end, 0xffff'8040'0000'0000u);
    EXPECT_EQ(m.max_mfn, layout::frame_count() - 1);
    xen_reserved_device_memory_map rdm{};
    rdm.flags = XENMEM_RDM_ALL;
    rdm.nr_entries = 9;
    EXPECT_EQ(mem_op(dom0, XENMEM_reserved_device_memory_map, &rdm), 0);
    EXPECT_EQ(rdm.nr_entries, 0u);
    rdm.flags = 2;
    EXPECT_EQ(mem_op(dom0, XENMEM_reserved_device_memory_map, &rdm), error(XEN_EINVAL));
}

TEST_F(MemoryOpTest, claims) {
    auto r = reservation(nullptr, 100, 0, 1);
    EXPECT_EQ(mem_op(dom0, XENMEM_claim_pages, &r), 0);
    EXPECT_EQ(mem_op(guest, XENMEM_claim_pages, &r), error(XEN_EPERM));
    guest.max_pages = 1 << 20;
    r.nr_extents = 1 << 20;
    EXPECT_EQ(mem_op(dom0, XENMEM_claim_pages, &r), error(XEN_ENOMEM));
    r.nr_extents = (1 << 20) + 1;
    EXPECT_EQ(mem_op(dom0, XENMEM_claim_pages, &r), error(XEN_EINVAL));
    r.nr_extents = 0;
    EXPECT_EQ(mem_op(dom0, XENMEM_claim_pages, &r), 0);
    r.extent_order = 1;
    EXPECT_EQ(mem_op(dom0, XENMEM_claim_pages, &r), error(XEN_EINVAL));
    r = reservation(nullptr, 1, 0, 99);
    EXPECT_EQ(mem_op(dom0, XENMEM_claim_pages, &r), error(XEN_ESRCH));
}

TEST_F(MemoryOpTest, memory_maps) {
    MemoryMapEntry out[4] = {};
    xen_memory_map m{};
    m.nr_entries = 4;
    m.buffer.p = out;
    EXPECT_EQ(mem_op(guest, XENMEM_memory_map, &m), error(XEN_ENOSYS));
    MemoryMapEntry in[129] = {{0, 0xa0000, 1}, {0x100000, 64 * mib, 1}};
    xen_foreign_memory_map f{};
    f.domid = 1;
    f.map.nr_entries = 2;
    f.map.buffer.p = in;
    EXPECT_EQ(mem_op(guest, XENMEM_set_memory_map, &f), error(XEN_EPERM));
    EXPECT_EQ(mem_op(dom0, XENMEM_set_memory_map, &f), 0);
    EXPECT_EQ(mem_op(guest, XENMEM_memory_map, &m), 0);
    EXPECT_EQ(m.nr_entries, 2u);
    EXPECT_EQ(std::memcmp(in, out, 40), 0);
    m.nr_entries = 1;
    EXPECT_EQ(mem_op(guest, XENMEM_memory_map, &m), 0);
    EXPECT_EQ(m.nr_entries, 1u);
    f.map.nr_entries = 129;
    EXPECT_EQ(mem_op(dom0, XENMEM_set_memory_map, &f), error(XEN_EINVAL));
    f.map.nr_entries = 128;
    EXPECT_EQ(mem_op(dom0, XENMEM_set_memory_map, &f), 0);
    f.map.buffer.p = reinterpret_cast<void*>(layout::hypervisor_start);
    EXPECT_EQ(mem_op(dom0, XENMEM_set_memory_map, &f), error(XEN_EFAULT));
    f.domid = 99;
    EXPECT_EQ(mem_op(dom0, XENMEM_set_memory_map, &f), error(XEN_ESRCH));

    w.machine_map = {{0, 0x9f000, 1}, {0x9f000, 0x1000, 2}, {0x100000, gib, 1}};
    m.nr_entries = 4;
    EXPECT_EQ(mem_op(guest, XENMEM_machine_memory_map, &m), error(XEN_EPERM));
    EXPECT_EQ(mem_op(dom0, XENMEM_machine_memory_map, &m), 0);
    EXPECT_EQ(m.nr_entries, 3u);
    EXPECT_EQ(std::memcmp(out, w.machine_map.data(), 60), 0);
    m.buffer.p = nullptr;
    m.nr_entries = 0;
    EXPECT_EQ(mem_op(dom0, XENMEM_machine_memory_map, &m), 0);
    EXPECT_EQ(m.nr_entries, 3u);
}

TEST_F(MemoryOpTest, machphys_list) {
    for (u64 i = 0; i < 100; ++i) w.m2p_extents.push_back(Mfn(0x200 * i));
    std::vector<u64> list(100, 7);
    xen_machphys_mfn_list m{};
    m.extent_start.p = list.data();
    m.max_extents = 90;
    EXPECT_EQ(mem_op(dom0, XENMEM_machphys_mfn_list, &m), 0);
    EXPECT_EQ(m.nr_extents, 90u);
    EXPECT_EQ(list[89], 0x200u * 89);
    EXPECT_EQ(list[90], 7u);
    m.max_extents = 1000;
    EXPECT_EQ(mem_op(dom0, XENMEM_machphys_mfn_list, &m), 0);
    EXPECT_EQ(m.nr_extents, 100u);
    m.extent_start.p = reinterpret_cast<u64*>(layout::hypervisor_start);
    EXPECT_EQ(mem_op(dom0, XENMEM_machphys_mfn_list, &m), error(XEN_EFAULT));
}

TEST_F(MemoryOpTest, acquire_resource) {
    xen_mem_acquire_resource a{};
    a.domid = 1;
    a.type = XENMEM_resource_grant_table;
    EXPECT_EQ(mem_op(dom0, XENMEM_acquire_resource, &a), 0);
    EXPECT_EQ(a.nr_frames, 64u);
    EXPECT_EQ(mem_op(dom0, XENMEM_acquire_resource, &a), error(XEN_EINVAL));  // frames wanted, but no list
    u64 list[64] = {};
    a.frame_list.p = list;
    EXPECT_EQ(mem_op(dom0, XENMEM_acquire_resource, &a), 0);
    EXPECT_EQ(find_page(Mfn(list[63]))->owner(), guest.id);
    a.frame = 1;
    EXPECT_EQ(mem_op(dom0, XENMEM_acquire_resource, &a), error(XEN_EINVAL));
    a.frame = 0;
    a.id = XENMEM_resource_grant_table_id_status;
    a.nr_frames = 1;
    EXPECT_EQ(mem_op(dom0, XENMEM_acquire_resource, &a), error(XEN_EINVAL));
    a.pad = 1;
    EXPECT_EQ(mem_op(dom0, XENMEM_acquire_resource, &a), error(XEN_EINVAL));
    a.pad = 0;
    a.type = XENMEM_resource_ioreq_server;
    EXPECT_EQ(mem_op(dom0, XENMEM_acquire_resource, &a), error(XEN_EOPNOTSUPP));
    a.domid = 0;
    EXPECT_EQ(mem_op(dom0, XENMEM_acquire_resource, &a), error(XEN_EPERM));
    EXPECT_EQ(mem_op(guest, XENMEM_acquire_resource, &a), error(XEN_EPERM));
    a.domid = 99;
    EXPECT_EQ(mem_op(dom0, XENMEM_acquire_resource, &a), error(XEN_ESRCH));
    a.domid = 1;
    a.type = XENMEM_resource_grant_table;
    a.id = 0;
    a.frame_list.p = reinterpret_cast<u64*>(layout::hypervisor_start);
    EXPECT_EQ(mem_op(dom0, XENMEM_acquire_resource, &a), error(XEN_EFAULT));
}

}  // namespace
}  // namespace xylem::test
