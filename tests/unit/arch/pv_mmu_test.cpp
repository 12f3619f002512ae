// SPDX-License-Identifier: MIT
// The MMU hypercalls of PV guests [ABI.md 3] on simulated CPUs. Every test ends with the page check and the TLB oracle.
#include <gtest/gtest.h>

#include "arch/host/memory.hpp"
#include "arch/x86/mm/tlb.hpp"
#include "arch/x86/pv/guest_entry.hpp"
#include "arch/x86/pv/mmu.hpp"
#include "arch/x86/pv/traps.hpp"
#include "arch/x86/pv/vcpu_context.hpp"
#include "core/grant/table.hpp"
#include "core/mem/pages.hpp"
#include "core/mem/table_types.hpp"
#include "core/port/guest_map.hpp"
#include "tests/unit/arch/pv_world.hpp"

namespace xylem::host {
namespace {

using namespace pv;

TEST_F(PvMmu, a_root_makes_every_table_below_it_typed) {
    EXPECT_EQ(state(g, 0).type(), PageType::l4);
    EXPECT_EQ(state(g, 1).type(), PageType::l3);
    EXPECT_EQ(state(g, 2).type(), PageType::l2);
    EXPECT_EQ(state(g, 3).type(), PageType::l1);
    EXPECT_EQ(state(g, 8).type(), PageType::writable);
    EXPECT_EQ(state(g, 0).type_uses(), 2u);  // two vCPUs
}

TEST_F(PvMmu, a_page_table_cannot_be_mapped_writable) {
    for (u32 table = 0; table < 4; ++table) EXPECT_EQ(set_l1(table, g.entry(table, rw)), error(XEN_EBUSY));
    EXPECT_EQ(va_mapping(3, g.entry(3, rw)), error(XEN_EBUSY));
}

TEST_F(PvMmu, a_page_mapped_writable_cannot_become_a_page_table) {
    EXPECT_EQ(ext(MMUEXT_PIN_L1_TABLE, g.frames[8].raw), error(XEN_EBUSY));
    protect(8);
    EXPECT_EQ(ext(MMUEXT_PIN_L1_TABLE, g.frames[8].raw), 0);
    EXPECT_EQ(va_mapping(8, g.entry(8, rw)), error(XEN_EBUSY));
    EXPECT_EQ(ext(MMUEXT_UNPIN_TABLE, g.frames[8].raw), 0);
    EXPECT_EQ(va_mapping(8, g.entry(8, rw)), 0);
}

TEST_F(PvMmu, mmu_update_tells_how_many_were_done_and_stops_at_the_first_that_fails) {
    mmu_update list[3] = {{g.slot(3, 9).raw, 0}, {g.slot(3, 9).raw, g.entry(3, rw)}, {g.slot(3, 10).raw, 0}};
    const u64 at = w.put(g, list);
    EXPECT_EQ(w.call(__HYPERVISOR_mmu_update, at, 3, at + 128, DOMID_SELF), error(XEN_EBUSY));
    EXPECT_EQ(g.words(PvGuest::arguments)[16] & 0xffffffff, 1u);
    EXPECT_EQ(l1_entry(9), 0u);
    EXPECT_NE(l1_entry(10), 0u);
}

TEST_F(PvMmu, bad_bits_in_an_entry_are_einval) {
    for (u64 bad : {bits::cache_disable, bits::write_through, bits::large_or_pat})
        EXPECT_EQ(set_l1(9, g.entry(9, rw | bad)), error(XEN_EINVAL));
    for (u64 bad : {bits::cache_disable, bits::write_through, bits::large_or_pat, bits::global})
        for (u32 level = 0; level < 3; ++level)
            EXPECT_EQ(update(g.slot(level, 5).raw, g.entry(level + 1, rw | bad)), error(XEN_EINVAL));
    w.run(dom0);
    EXPECT_EQ(set_l1(9, dom0.entry(9, rw | bits::cache_disable)), 0);  // who has devices may choose caching
}

TEST_F(PvMmu, the_user_bit_is_forced_and_bits_for_the_guest_stay) {
    const u64 mine = u64{0x205} << 52 | 0xa00 | bits::no_execute;
    EXPECT_EQ(set_l1(9, maddr_of(g.frames[9]).raw | bits::present | mine), 0);
    EXPECT_EQ(l1_entry(9), maddr_of(g.frames[9]).raw | bits::present | bits::user | mine);
    EXPECT_EQ(set_l1(9, maddr_of(g.frames[9]).raw | bits::present), 0);  // the short way
    EXPECT_EQ(l1_entry(9), g.entry(9, ro));
}

TEST_F(PvMmu, global_entries_would_survive_flushes_and_lose_the_bit) {
    EXPECT_EQ(set_l1(9, g.entry(9, rw | bits::global)), 0);
    EXPECT_EQ(l1_entry(9) & bits::global, 0u);
    EXPECT_EQ(set_l1(9, g.entry(9, rw | bits::global | bits::accessed)), 0);
    EXPECT_EQ(va_mapping(9, g.entry(9, rw | bits::global)), 0);
    EXPECT_EQ(l1_entry(9) & bits::global, 0u);
    protect(10);
    g.words(10)[0] = g.entry(11, rw | bits::global);
    EXPECT_EQ(ext(MMUEXT_PIN_L1_TABLE, g.frames[10].raw), 0);
    EXPECT_EQ(g.words(10)[0], g.entry(11, rw));
}

TEST_F(PvMmu, preserve_ad_keeps_what_the_cpu_sets_and_the_plain_update_does_not) {
    EXPECT_EQ(set_l1(9, g.entry(9, rw)), 0);
    ASSERT_TRUE(store(PvGuest::va(9), 1));
    constexpr u64 ad = bits::accessed | bits::dirty;
    EXPECT_EQ(l1_entry(9) & ad, ad);
    EXPECT_EQ(set_l1(9, g.entry(9, ro), MMU_PT_UPDATE_PRESERVE_AD), 0);
    EXPECT_EQ(l1_entry(9), g.entry(9, ro | ad));
    EXPECT_EQ(set_l1(9, g.entry(9, ro), MMU_NORMAL_PT_UPDATE), 0);
    EXPECT_EQ(l1_entry(9), g.entry(9, ro));
}

TEST_F(PvMmu, an_update_of_plain_memory_is_a_plain_store) {
    EXPECT_EQ(update(g.slot(9, 3).raw, 0x1234567890), 0);
    EXPECT_EQ(g.words(9)[3], 0x1234567890u);
    EXPECT_EQ(update(dom0.slot(9, 3).raw, 1), error(XEN_EINVAL));
    EXPECT_EQ(update(u64{3} << page_shift, 1), error(XEN_EINVAL));  // a device's
    EXPECT_EQ(update(~u64{0} << page_shift, 1), error(XEN_EINVAL));
}

TEST_F(PvMmu, frames_of_others_need_the_right_domain_and_privilege) {
    EXPECT_EQ(set_l1(9, dom0.entry(9, ro)), error(XEN_EINVAL));
    EXPECT_EQ(update(g.slot(3, 9).raw, dom0.entry(9, ro), 0), error(XEN_EPERM));
    EXPECT_EQ(update(g.slot(3, 9).raw, 0, 99), error(XEN_ESRCH));
    w.run(dom0);
    EXPECT_EQ(update(dom0.slot(3, 9).raw, g.entry(9, rw), g.domain->id.raw), 0);
    EXPECT_EQ(update(dom0.slot(3, 9).raw, 0), 0);
    // Tables of another domain.
    EXPECT_EQ(update(g.slot(3, 9).raw, g.entry(9, ro), g.domain->id.raw | (g.domain->id.raw + 1u) << 16), 0);
    EXPECT_EQ(g.words(3)[9], g.entry(9, ro));
}

TEST_F(PvMmu, device_memory_is_mapped_uncached_by_those_who_may) {
    const u64 device = u64{5} << page_shift;
    EXPECT_EQ(set_l1(9, device | rw), error(XEN_EPERM));
    w.run(dom0);
    EXPECT_EQ(set_l1(9, device | rw), 0);
    EXPECT_EQ(l1_entry(9), device | rw | bits::cache_disable | bits::write_through);
    environment.read_only_device_frame = 5;
    EXPECT_EQ(set_l1(10, device | rw), 0);
    EXPECT_EQ(l1_entry(10) & bits::writable, 0u);
}

TEST_F(PvMmu, frames_beyond_the_address_width_are_nobodys) {
    w.run(dom0);
    const u64 last = u64{1} << (environment.features.physical_bits - 1);
    for (u64 beyond = last * 2; beyond < u64{1} << 52; beyond *= 2) {
        EXPECT_EQ(set_l1(9, beyond | rw), error(XEN_EPERM));
        EXPECT_EQ(set_l1(9, beyond | last | ro), error(XEN_EPERM));
    }
    EXPECT_EQ(set_l1(9, last | rw), 0);  // a device above all memory
}

TEST_F(PvMmu, free_memory_is_no_device_even_to_the_hardware_domain) {
    w.run(dom0);
    u64 refused = 0;
    for (u64 i = first_free_frame; i < layout::frame_count(); ++i) {
        if (!find_page(Mfn(i))->load().has(PageState::free_bit)) continue;
        EXPECT_LT(set_l1(9, i << page_shift | rw), 0) << i;
        if (++refused == 40) break;
    }
    EXPECT_GT(refused, 5u);
}

TEST_F(PvMmu, m2p_is_written_for_own_frames_only) {
    EXPECT_EQ(update(maddr_of(g.frames[9]).raw | MMU_MACHPHYS_UPDATE, 0x777), 0);
    EXPECT_EQ(port::get_m2p(g.frames[9]), 0x777u);
    EXPECT_EQ(update(maddr_of(dom0.frames[9]).raw | MMU_MACHPHYS_UPDATE, 1), error(XEN_EINVAL));
    EXPECT_EQ(port::get_m2p(dom0.frames[9]), 9u);
}

TEST_F(PvMmu, pin_twice_and_unpin_twice_are_einval) {
    EXPECT_EQ(ext(MMUEXT_PIN_L4_TABLE, g.frames[0].raw), 0);
    EXPECT_EQ(ext(MMUEXT_PIN_L4_TABLE, g.frames[0].raw), error(XEN_EINVAL));
    EXPECT_EQ(ext(MMUEXT_UNPIN_TABLE, g.frames[0].raw), 0);  // in use as CR3: stays a table
    EXPECT_EQ(ext(MMUEXT_UNPIN_TABLE, g.frames[0].raw), error(XEN_EINVAL));
    EXPECT_EQ(state(g, 0).type(), PageType::l4);
    EXPECT_EQ(ext(MMUEXT_PIN_L3_TABLE, g.frames[0].raw), error(XEN_EBUSY));
    EXPECT_EQ(ext(MMUEXT_PIN_L1_TABLE, dom0.frames[3].raw), error(XEN_EINVAL));
}

TEST_F(PvMmu, the_hypervisors_slots_of_a_root_are_its_own) {
    for (u32 slot : {256u, 260u, 271u}) EXPECT_EQ(update(g.slot(0, slot).raw, g.entry(1, rw)), error(XEN_EINVAL));
    EXPECT_EQ(update(g.slot(0, 272).raw, g.entry(1, rw)), 0);
    EXPECT_EQ(update(g.slot(0, 272).raw, 0), 0);
}

TEST_F(PvMmu, a_user_root_is_optional_checked_and_kept) {
    EXPECT_EQ(ext(MMUEXT_NEW_USER_BASEPTR, g.frames[8].raw), error(XEN_EBUSY));
    protect(8);
    g.words(8)[0] = g.entry(1, rw);
    EXPECT_EQ(ext(MMUEXT_NEW_USER_BASEPTR, g.frames[8].raw), 0);
    EXPECT_EQ(state(g, 8).type(), PageType::l4);
    EXPECT_EQ(ext(MMUEXT_NEW_USER_BASEPTR, dom0.frames[0].raw), error(XEN_EINVAL));
    EXPECT_EQ(ext(MMUEXT_NEW_USER_BASEPTR, 0), 0);
    EXPECT_EQ(state(g, 8).type_uses(), 0u);
}

TEST_F(PvMmu, user_mode_without_a_root_crashes_the_guest_only) {
    w.call(__HYPERVISOR_iret);  // an all-zero frame is kernel mode
    EXPECT_FALSE(g.domain->shut_down);
    g.words(PvGuest::stacks)[507] = 3;  // cs of a frame
    current_arch().guest.rsp = PvGuest::va(PvGuest::stacks) + 4016;
    w.call(__HYPERVISOR_iret);
    EXPECT_TRUE(g.domain->shut_down);
    EXPECT_EQ(current_arch().kernel_mode, 1);
}

TEST_F(PvMmu, a_vcpu_cannot_be_started_in_user_mode_on_no_page_table) {
    auto c = std::make_unique<vcpu_guest_context>();
    c->ctrlreg[3] = g.frames[0].raw << page_shift;
    c->user_regs.cs = 3;
    EXPECT_EQ(set_vcpu_context(*g.domain->vcpus[1], *c), Result<>(fail(XEN_EINVAL)));
}

TEST_F(PvMmu, stores_to_a_mapped_l1_table_are_emulated_as_updates) {
    ArchVcpu& v = current_arch();
    w.put(g, "\x48\x89\x07", 3, 0x800);  // mov %rax,(%rdi)
    const auto fault = [&](u32 table, u32 index, u64 value) {
        const u64 va = PvGuest::va(table) + index * 8;
        const AccessResult r = guest_store(va, &value, 8);
        ASSERT_FALSE(r.ok);
        EXPECT_EQ(r.error_code, 7u);
        v.guest.rip = PvGuest::va(PvGuest::arguments) + 0x800;
        v.guest.rdi = va;
        v.guest.rax = value;
        v.guest.rsp = v.kernel_sp;
        v.guest.error_code = r.error_code;
        v.traps[14] = {0x1000, 0xe033, 0};
        handle_exception(v, x86::vector::page_fault, va);
    };
    fault(3, 9, g.entry(9, ro));
    EXPECT_EQ(v.guest.rip, PvGuest::va(PvGuest::arguments) + 0x803);
    EXPECT_EQ(l1_entry(9), g.entry(9, ro));
    fault(3, 10, g.entry(3, rw));  // a check that fails is the guest's own fault
    EXPECT_EQ(v.guest.rip, 0x1000u);
    EXPECT_EQ(l1_entry(10) & bits::frame, maddr_of(g.frames[10]).raw);
    fault(2, 9, 0);  // tables above L1 are not emulated
    EXPECT_EQ(v.guest.rip, 0x1000u);
    EXPECT_EQ(v.cr2, PvGuest::va(2) + 72);
}

TEST_F(PvMmu, a_writable_translation_is_gone_before_the_frame_counts_as_a_table) {
    w.run(g, 1, 1);
    ASSERT_TRUE(store(PvGuest::va(8), 2));  // CPU 1 caches it
    w.run(g, 0, 0);
    EXPECT_EQ(va_mapping(8, 0), 0);  // nobody asks for a flush
    EXPECT_EQ(ext(MMUEXT_PIN_L1_TABLE, g.frames[8].raw), 0);
    EXPECT_EQ(check_tlbs(), "");
    machine.cpu = CpuId(1);
    EXPECT_FALSE(store(PvGuest::va(8), 2));
    machine.cpu = CpuId(0);
}

TEST_F(PvMmu, a_forgotten_flush_is_seen_by_the_oracle) {
    w.run(g, 1, 1);
    ASSERT_TRUE(store(PvGuest::va(8), 2));
    w.run(g, 0, 0);
    EXPECT_EQ(va_mapping(8, 0), 0);
    find_page(g.frames[8])->set_tlb_stamp({});  // as if nobody had written down when
    EXPECT_EQ(ext(MMUEXT_PIN_L1_TABLE, g.frames[8].raw), 0);
    EXPECT_NE(check_tlbs(), "");
    machine.cpu = CpuId(1);
    flush_tlb_local();
    machine.cpu = CpuId(0);
}

TEST_F(PvMmu, a_freed_frame_reaches_its_next_owner_clean) {
    ASSERT_TRUE(store(PvGuest::va(8), 2));
    EXPECT_EQ(va_mapping(8, 0), 0);
    ASSERT_TRUE(release_domain_page(*g.domain, *find_page(g.frames[8])));
    const Mfn again = *allocate_domain_pages(*dom0.domain, 0);
    EXPECT_EQ(again, g.frames[8]);
    EXPECT_EQ(check_tlbs(), "");
    EXPECT_TRUE(release_domain_page(*dom0.domain, *find_page(again)));
}

TEST_F(PvMmu, update_va_mapping_without_a_table_or_into_the_hypervisor_is_einval) {
    EXPECT_EQ(w.call(__HYPERVISOR_update_va_mapping, 0x7000'0000'0000, 0, 0), error(XEN_EINVAL));
    EXPECT_EQ(w.call(__HYPERVISOR_update_va_mapping, layout::hypervisor_start, 0, 0), error(XEN_EINVAL));
    EXPECT_EQ(w.call(__HYPERVISOR_update_va_mapping, u64{1} << 47, 0, 0), error(XEN_EINVAL));
}

TEST_F(PvMmu, unknown_and_unsupported_mmuext_operations_say_so) {
    EXPECT_EQ(ext(MMUEXT_MARK_SUPER), error(XEN_EOPNOTSUPP));
    EXPECT_EQ(ext(14), error(XEN_ENOSYS));
    EXPECT_EQ(ext(MMUEXT_FLUSH_CACHE), error(XEN_EACCES));
}

// Every test ends with the page check: it has to know of these.
TEST_F(PvMmu, the_page_check_counts_status_frames_of_a_table_that_went_back_to_version_1) {
    for (u32 version : {2u, 1u})
        EXPECT_EQ(w.call(__HYPERVISOR_grant_table_op, GNTTABOP_set_version, w.put(running(), gnttab_set_version{version}), 1), 0);
    EXPECT_EQ(running().domain->grants->version(), 1u);
}

TEST_F(PvMmu, the_page_check_counts_what_is_mapped_for_devices) {
    auto* entries = reinterpret_cast<grant_entry_v1_t*>(dom0.grant_table());
    for (u32 ref : {8u, 9u}) {
        entries[ref] = {GTF_permit_access, g.domain->id.raw, static_cast<u32>(dom0.frames[ref].raw)};
        gnttab_map_grant_ref op{};
        op.flags = GNTMAP_device_map | (ref == 9 ? GNTMAP_readonly : 0);
        op.ref = ref;
        op.dom = dom0.domain->id.raw;
        const u64 at = w.put(g, op);
        ASSERT_EQ(w.call(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, at, 1), 0);
        EXPECT_EQ(w.check(), "") << ref;
    }
    EXPECT_EQ(g.domain->grants->maptrack().live(), 2u);
}

// --- rows of the security regression list

TEST_F(PvMmu, xsa_148_no_superpage_on_any_path_of_an_l2) {
    EXPECT_EQ(update(g.slot(2, 4).raw, g.entry(8, rw | bits::large_or_pat)), error(XEN_EINVAL));
    EXPECT_EQ(update(g.slot(2, 0).raw, g.words(2)[0] | bits::large_or_pat), error(XEN_EINVAL));
    EXPECT_EQ(update(g.slot(2, 0).raw | MMU_PT_UPDATE_PRESERVE_AD, g.words(2)[0] | bits::large_or_pat), error(XEN_EINVAL));
    protect(8);
    g.words(8)[0] = g.entry(9, rw | bits::large_or_pat);
    EXPECT_EQ(ext(MMUEXT_PIN_L2_TABLE, g.frames[8].raw), error(XEN_EINVAL));
}

TEST_F(PvMmu, xsa_182_writability_never_changes_on_the_short_way) {
    EXPECT_EQ(set_l1(3, g.entry(3, ro | bits::accessed)), 0);
    EXPECT_EQ(set_l1(3, g.entry(3, rw | bits::accessed)), error(XEN_EBUSY));
    EXPECT_EQ(set_l1(3, g.entry(3, rw), MMU_PT_UPDATE_PRESERVE_AD), error(XEN_EBUSY));
}

TEST_F(PvMmu, xsa_185_xsa_240_tables_never_contain_themselves_or_their_level) {
    EXPECT_EQ(update(g.slot(0, 5).raw, g.entry(0, rw)), error(XEN_EBUSY));
    EXPECT_EQ(update(g.slot(1, 5).raw, g.entry(1, rw)), error(XEN_EBUSY));
    EXPECT_EQ(update(g.slot(2, 5).raw, g.entry(2, rw)), error(XEN_EBUSY));
    EXPECT_EQ(update(g.slot(0, 5).raw, g.entry(0, ro)), error(XEN_EBUSY));
    EXPECT_EQ(update(g.slot(0, 5).raw, dom0.entry(1, rw)), error(XEN_EINVAL));
}

TEST_F(PvMmu, xsa_214_a_frame_with_a_type_cannot_change_hands) {
    EXPECT_EQ(detach_domain_page(*g.domain, *find_page(g.frames[3])), Result<>(fail(XEN_EBUSY)));
    protect(8);
    EXPECT_EQ(va_mapping(8, 0, UVMF_INVLPG | UVMF_ALL), 0);
    EXPECT_EQ(ext(MMUEXT_PIN_L1_TABLE, g.frames[8].raw), 0);
    EXPECT_EQ(detach_domain_page(*g.domain, *find_page(g.frames[8])), Result<>(fail(XEN_EBUSY)));
    EXPECT_EQ(ext(MMUEXT_UNPIN_TABLE, g.frames[8].raw), 0);
    PageInfo& page = *find_page(g.frames[8]);
    ASSERT_TRUE(detach_domain_page(*g.domain, page));
    ASSERT_TRUE(attach_domain_page(*dom0.domain, page));
    EXPECT_EQ(page.load().type(), PageType::none);  // what it was checked as is forgotten
}

TEST_F(PvMmu, xsa_299_a_validation_that_fails_leaves_nothing_behind) {
    protect(8);
    for (u32 i = 0; i < 100; ++i) g.words(8)[i] = g.entry(9 + i % 4, rw);
    g.words(8)[100] = dom0.entry(9, ro);
    const u64 before = state(g, 9).raw;
    EXPECT_EQ(ext(MMUEXT_PIN_L1_TABLE, g.frames[8].raw), error(XEN_EINVAL));
    EXPECT_EQ(state(g, 9).raw, before);
    EXPECT_EQ(state(g, 8).type_uses(), 0u);
    g.words(8)[100] = 0;
    EXPECT_EQ(ext(MMUEXT_PIN_L1_TABLE, g.frames[8].raw), 0);
}

TEST_F(PvMmu, xsa_402_only_those_with_devices_choose_caching) {
    EXPECT_EQ(set_l1(9, g.entry(9, rw | bits::cache_disable)), error(XEN_EINVAL));
    protect(8);
    g.words(8)[0] = g.entry(9, ro | bits::write_through);
    EXPECT_EQ(ext(MMUEXT_PIN_L1_TABLE, g.frames[8].raw), error(XEN_EINVAL));
}

TEST_F(PvMmu, xsa_286_a_removed_l4_entry_takes_its_tables_from_every_cpu) {
    protect(8);
    protect(9);
    protect(10);
    g.words(10)[0] = g.entry(11, rw);
    g.words(9)[0] = g.entry(10, rw);
    g.words(8)[0] = g.entry(9, rw);
    ASSERT_EQ(update(g.slot(0, 7).raw, g.entry(8, rw)), 0);
    const u64 va = u64{7} << 39;
    w.run(g, 1, 1);
    ASSERT_TRUE(store(va, 1));
    w.run(g, 0, 0);
    ASSERT_EQ(update(g.slot(0, 7).raw, 0), 0);
    ASSERT_EQ(va_mapping(10, g.entry(10, rw)), 0);  // once an L1, now the guest's to write
    EXPECT_EQ(check_tlbs(), "");
}

}  // namespace
}  // namespace xylem::host
