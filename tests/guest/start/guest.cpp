// SPDX-License-Identifier: MIT
// How a kernel finds the world at its first instruction: registers, start_info, memory, features [ABI 1.2, 1.5].
#include "guest/kit/calls.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/privileged.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/story.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

void registers() {
    const BootRegisters& r = boot_registers();
    story::equal_hex("registers/cs", r.cs, flat_cs64);
    story::equal_hex("registers/ss", r.ss, flat_ss);
    story::equal("registers/data selectors", r.ds | r.es | r.fs | r.gs, 0);
    story::equal_hex("registers/rflags", r.rflags & ~u64{0x44}, 0x202);  // zf and pf come from nobody's arithmetic
    story::equal("registers/others", static_cast<i64>(r.rax | r.rbx | r.rcx | r.rdx | r.rbp | r.rdi), 0);
    story::equal("registers/r8 to r15", static_cast<i64>(r.r8 | r.r9 | r.r10 | r.r11 | r.r12 | r.r13 | r.r14 | r.r15), 0);
    story::is("registers/rsi is start_info", r.rsi == word(&boot_info()));
    story::equal("registers/rsp at a page's end", r.rsp & page_mask, 0);
}

void information() {
    const start_info_t& s = boot_info();
    story::show_text("start_info/magic", {s.magic, 16});
    story::equal_hex("start_info/flags", s.flags & 0xff, SIF_PRIVILEGED | SIF_INITDOMAIN);
    story::show_hex("start_info/power management", s.flags >> 8);
    story::show("start_info/nr_pages", static_cast<i64>(s.nr_pages));
    story::show("start_info/store", static_cast<i64>(s.store_mfn | s.store_evtchn));
    story::show("start_info/mod_len", static_cast<i64>(s.mod_len));
    story::show_text("start_info/command line", command_line());
    story::show("start_info/vga offset", s.console.dom0.info_off);
    story::show("start_info/vga size", s.console.dom0.info_size);
    story::equal_hex("start_info/p2m", s.mfn_list, KIT_P2M_VA);
    story::show("start_info/first_p2m_pfn is below nr_pages", s.first_p2m_pfn < s.nr_pages);
    story::show("start_info/nr_p2m_frames", static_cast<i64>(s.nr_p2m_frames));
    story::show("start_info/nr_pt_frames", static_cast<i64>(s.nr_pt_frames));
    story::show("start_info/pages between start_info and page tables", static_cast<i64>((s.pt_base - word(&s)) >> page_shift));
    story::show("start_info/pages between page tables and stack end",
                static_cast<i64>((boot_registers().rsp - s.pt_base) >> page_shift) - static_cast<i64>(s.nr_pt_frames));
    story::is("start_info/root table is the first", s.pt_base == word(kernel_root()));
}

void lists() {
    u64 wrong = 0, doubles = 0;
    for (u64 pfn = 0; pfn < page_count(); ++pfn) {
        const Mfn mfn = frame_of(Gfn(pfn));
        if (pfn_of(mfn) != Gfn(pfn)) ++wrong;
        if (mfn == invalid_mfn) ++doubles;
    }
    story::equal("lists/pages whose m2p disagrees", static_cast<i64>(wrong), 0);
    story::equal("lists/pages without a frame", static_cast<i64>(doubles), 0);
    xen_machphys_mapping_t m{};
    story::succeeds("lists/machphys_mapping", memory_op(XENMEM_machphys_mapping, &m));
    story::show_hex("lists/m2p start", m.v_start);
    story::show_hex("lists/m2p end", m.v_end);
    story::show("lists/max_mfn", static_cast<i64>(m.max_mfn));
    story::traps("lists/m2p is read-only", attempt([&] { *reinterpret_cast<volatile u64*>(m.v_start) = 1; }), 14, 3);
    story::traps("lists/m2p beyond its end", attempt([&] { (void)*reinterpret_cast<volatile u64*>(m.v_end - 8); }), 14, 0);
    // Frame 0 is in the first MiB: the machine's, nobody's memory.
    story::show_hex("lists/m2p of frame 0", *reinterpret_cast<volatile u64*>(m.v_start));
}

// Without what the processor sets, and without G and bits 52 to 62, which the hypervisor may use in a kernel's own entries.
constexpr u64 pte_rights = pte::no_execute | (0xfff & ~(pte::accessed | pte::dirty | pte::global));

void first_tables() {
    const start_info_t& s = boot_info();
    u64 writable_tables = 0, odd = 0, absent = 0;
    const u64 first_table = pfn_at(reinterpret_cast<void*>(s.pt_base)).raw;
    for (u64 pfn = 0; pfn < 1024; ++pfn) {
        const u64* e = find_entry(kernel_root(), linear(Gfn(pfn)), 1);
        if (e == nullptr || (*e & pte::present) == 0) {
            ++absent;
            continue;
        }
        const bool is_table = pfn - first_table < s.nr_pt_frames;
        if (is_table && (*e & pte::writable) != 0) ++writable_tables;
        const bool is_shared_info = linear(Gfn(pfn)) == word(&shared());
        if (!is_shared_info && pte::frame(*e) != frame_of(Gfn(pfn))) ++odd;
    }
    story::equal("tables/absent pages", static_cast<i64>(absent), 0);
    story::equal("tables/writable tables", static_cast<i64>(writable_tables), 0);
    story::equal("tables/wrong frames", static_cast<i64>(odd), 0);
    story::show_hex("tables/flags of a text page", *find_entry(kernel_root(), linear_base + 0x100000, 1) & pte_rights);
    story::show_hex("tables/flags of page 0", *find_entry(kernel_root(), linear_base, 1) & pte_rights);
    story::show_hex("tables/flags of start_info", *find_entry(kernel_root(), word(&s), 1) & pte_rights);
    story::show_hex("tables/flags of the root", *find_entry(kernel_root(), s.pt_base, 1) & pte_rights);
    story::show_hex("tables/flags in level 2", *find_entry(kernel_root(), linear_base, 2) & pte_rights);
    story::show_hex("tables/flags in level 4", *find_entry(kernel_root(), linear_base, 4) & pte_rights);
    story::answers("tables/the root is pinned already", pin(frame_at(kernel_root()), 4), XEN_EINVAL);
    story::is("tables/cr3 is the root", read_cr<3>() == frame_at(kernel_root()).raw << page_shift);
}

void features() {
    xen_feature_info_t f{};
    story::succeeds("features/get_features 0", xen_version(XENVER_get_features, &f));
    story::equal_hex("features/map 0", f.submap, 0x228f0);
    f = {.submap_idx = 1, .submap = 7};
    story::answers("features/get_features 1", xen_version(XENVER_get_features, &f), XEN_EINVAL);
    story::equal_hex("features/version", static_cast<u64>(xen_version(XENVER_version)), 0x40011);
    for (u32 leaf = 0x40000000; leaf <= 0x40000002; ++leaf) {
        const CpuidAnswer c = cpuid(leaf);
        text::FixedText<64> name;
        text::format(name, "features/cpuid {:x}", leaf);
        text::FixedText<64> value;
        text::format(value, "{:x} {:x} {:x} {:x}", c.a, c.b, c.c, c.d);
        story::show_text(name.view(), value.view());
    }
}

void masks() {
    unsigned open = 0, pending = 0;
    for (unsigned v = 1; v < 32; ++v) {
        open += shared().vcpu_info[v].evtchn_upcall_mask == 0 ? 1 : 0;
        pending += shared().vcpu_info[v].evtchn_upcall_pending;
    }
    story::equal("shared_info/vCPUs with an open event mask", open, 0);
    story::equal("shared_info/vCPUs with a pending upcall", pending, 0);
    story::is("shared_info/wall clock is set", shared().wc_sec > 1000000000 && (shared().wc_version & 1) == 0);
    story::show("shared_info/max_pfn", static_cast<i64>(shared().arch.max_pfn));
}

}  // namespace

void kit::guest_main() {
    registers();
    information();
    lists();
    first_tables();
    features();
    masks();
    story::end();
}
