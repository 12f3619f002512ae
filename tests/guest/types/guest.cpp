// SPDX-License-Identifier: MIT
// A frame has one type at a time: tables, descriptor pages, writable memory. Pins, roots, and what a guest may try [ABI 3.1,
// FIELD 3.2].
#include "guest/kit/calls.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/story.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

long set(u64* at, u64 value) {
    const auto r = set_entry(at, value);
    return r ? 0 : -static_cast<long>(r.error());
}
long rights(void* page, u64 flags) {
    return update_va_mapping(word(page), pte::make(frame_at(page), flags), UVMF_INVLPG);
}

// A tree of one table per level, not yet in use, with one page of ours at its end.
struct Tree {
    u64 *l4, *l3, *l2, *l1;
    void* page;

    Tree() {
        for (u64** t : {&l4, &l3, &l2, &l1}) *t = static_cast<u64*>(allocate_pages());
        page = allocate_pages();
        l1[0] = pte::make(frame_at(page), pte::data);
        l2[0] = pte::make(frame_at(l1), pte::table);
        l3[0] = pte::make(frame_at(l2), pte::table);
        l4[0] = pte::make(frame_at(l3), pte::table);
    }
    void read_only() {
        for (u64* t : {l4, l3, l2, l1}) rights(t, pte::read_only);
    }
    void writable() {
        for (u64* t : {l4, l3, l2, l1}) rights(t, pte::data);
    }
};

void pinning() {
    Tree t;
    story::show("pin/tables still writable", pin(frame_at(t.l4), 4));
    story::show("pin/l1 still writable", pin(frame_at(t.l1), 1));
    t.read_only();
    story::succeeds("pin/l4", pin(frame_at(t.l4), 4));
    story::answers("pin/l4 again", pin(frame_at(t.l4), 4), XEN_EINVAL);
    story::show("pin/l4 as l3", pin(frame_at(t.l4), 3));
    story::show("pin/l1 below it", pin(frame_at(t.l1), 1));
    story::show("pin/unpin it", unpin(frame_at(t.l1)));
    story::show("pin/writable while pinned", rights(t.l1, pte::data));
    story::show("pin/writable root while pinned", rights(t.l4, pte::data));
    story::succeeds("pin/unpin l4", unpin(frame_at(t.l4)));
    story::answers("pin/unpin again", unpin(frame_at(t.l4)), XEN_EINVAL);
    story::succeeds("pin/writable again", rights(t.l1, pte::data));
    t.writable();
    story::show("pin/unpin an ordinary page", unpin(frame_at(t.page)));
    story::show("pin/beyond memory", pin(Mfn(0xfffffffff), 1));
    story::show("pin/of nobody", pin(Mfn(0x210), 1));
    story::show("pin/video memory", pin(Mfn(0xa0), 1));
    story::show("pin/for domain 5", pin(frame_at(t.page), 1, 5));
    story::show("pin/unpin beyond memory", unpin(Mfn(0xfffffffff)));
    rights(t.page, pte::read_only);
    for (unsigned level = 1; level <= 4; ++level) {
        text::FixedText<40> name;
        text::format(name, "pin/empty page at level {}", level);
        story::show(name.view(), pin(frame_at(t.page), level));
        unpin(frame_at(t.page));
    }
    rights(t.page, pte::data);
}

void bad_contents() {
    struct {
        const char* name;
        unsigned level;
        u64 value;
    } const contents[] = {
        {"l1 with a frame beyond memory", 1, pte::make(Mfn(0xfffffffff), pte::data)},
        {"l1 with a frame of nobody", 1, pte::make(Mfn(0x210), pte::data)},
        {"l1 with the local apic", 1, pte::make(Mfn(0xfee00), pte::data)},
        {"l1 with the root writable", 1, pte::make(frame_at(kernel_root()), pte::data)},
        {"l2 with a large page", 2, pte::make(Mfn(0), pte::table | pte::large)},
        {"l2 with an own large page", 2, pte::make(Mfn(frame_at(kernel_root()).raw & ~u64{511}), pte::table | pte::large)},
        {"l3 with a large page", 3, pte::make(Mfn(0), pte::table | pte::large)},
        {"l2 with the root", 2, pte::make(frame_at(kernel_root()), pte::table)},
        {"l4 with the root", 4, pte::make(frame_at(kernel_root()), pte::table)},
        {"l2 uncached", 2, pte::make(frame_at(kernel_root()), pte::table | pte::pcd)},
        {"not present", 1, 0x1234567812345670},
    };
    auto* table = static_cast<u64*>(allocate_pages());
    for (const auto& c : contents) {
        rights(table, pte::data);
        table[7] = c.value;
        rights(table, pte::read_only);
        text::FixedText<60> name;
        text::format(name, "contents/{}", c.name);
        const long r = pin(frame_at(table), c.level);
        story::show(name.view(), r);
        if (r == 0) unpin(frame_at(table));
    }
    rights(table, pte::data);
    // A failed pin leaves nothing behind: the page is writable memory as before.
    story::runs("contents/the page is ordinary again", attempt([=] { table[7] = 0; }));
    // A table that maps itself, writable and read-only.
    table[7] = pte::make(frame_at(table), pte::data);
    rights(table, pte::read_only);
    story::show("contents/l1 that maps itself writable", pin(frame_at(table), 1));
    rights(table, pte::data);
    table[7] = pte::make(frame_at(table), pte::read_only);
    rights(table, pte::read_only);
    story::show("contents/l1 that maps itself read-only", pin(frame_at(table), 1));
    unpin(frame_at(table));
    rights(table, pte::data);
    table[7] = pte::make(frame_at(table), pte::present | pte::user);
    rights(table, pte::read_only);
    story::show("contents/l2 that holds itself read-only", pin(frame_at(table), 2));
    story::show("contents/l4 that holds itself read-only", pin(frame_at(table), 4));
    unpin(frame_at(table));
    rights(table, pte::data);
    free_pages(table);
}

void roots() {
    Tree t;
    t.read_only();
    const Mfn own = frame_at(kernel_root());
    story::show("root/a page that is none", set_root(frame_at(t.page)));
    story::show("root/an l3", set_root(frame_at(t.l3)));
    story::show("root/beyond memory", set_root(Mfn(0xfffffffff)));
    story::show("root/zero", set_root(Mfn(0)));
    story::succeeds("root/the same again", set_root(own));
    story::show("root/of user mode an l3", set_user_root(frame_at(t.l3)));
    story::succeeds("root/of user mode", set_user_root(frame_at(t.l4)));
    story::show("root/writable while in use", rights(t.l4, pte::data));
    story::show("root/pinned while in use", pin(frame_at(t.l4), 4));
    story::show("root/unpinned while in use", unpin(frame_at(t.l4)));
    story::succeeds("root/of user mode none", set_user_root(Mfn(0)));
    story::succeeds("root/writable afterwards", rights(t.l4, pte::data));
    // A second kernel root with the kernel's upper half: switch there and back.
    t.l4[511] = kernel_root()[511] & (pte::address | pte::table);
    t.l4[table_index(KIT_P2M_VA, 4)] = kernel_root()[table_index(KIT_P2M_VA, 4)] & (pte::address | pte::table);
    rights(t.l4, pte::read_only);
    story::succeeds("root/of the kernel", set_root(frame_at(t.l4)));
    story::runs("root/its lower half is there", attempt([] { *reinterpret_cast<volatile u64*>(8) = 5; }));
    story::succeeds("root/unpin the first", unpin(own));
    story::show("root/first is writable without pin and use", rights(kernel_root(), pte::data));
    rights(kernel_root(), pte::read_only);
    story::succeeds("root/back", set_root(own));
    story::traps("root/lower half is gone", attempt([] { *reinterpret_cast<volatile u64*>(8) = 5; }), 14, 2);
    story::succeeds("root/pin the first again", pin(own, 4));
    t.writable();
}

// XSA-148, XSA-182: what a fast path could let through.
void fast_paths() {
    Tree t;
    t.read_only();
    if (pin(frame_at(t.l4), 4) != 0) story::error("no pin");
    story::show("xsa-148/l2 gets pse", set(t.l2, t.l2[0] | pte::large));
    story::show("xsa-148/l2 gets pse and writable", set(t.l2, t.l2[0] | pte::large | pte::writable));
    story::show("xsa-148/l3 gets pse", set(t.l3, t.l3[0] | pte::large));
    story::succeeds("xsa-182/l2 read-only", set(t.l2, t.l2[0] & ~pte::writable));
    story::succeeds("xsa-182/l2 writable again", set(t.l2, t.l2[0] | pte::writable));
    story::succeeds("xsa-182/l4 takes itself away", set(&t.l4[5], 0));
    story::show("xsa-182/l4 holds itself read-only", set(&t.l4[5], pte::make(frame_at(t.l4), pte::present | pte::user)));
    story::show("xsa-182/l4 holds itself writable", set(&t.l4[5], pte::make(frame_at(t.l4), pte::table)));
    set(&t.l4[5], 0);
    story::show("xsa-182/l3 holds itself read-only", set(&t.l3[5], pte::make(frame_at(t.l3), pte::present | pte::user)));
    story::show("xsa-182/l3 holds itself writable", set(&t.l3[5], pte::make(frame_at(t.l3), pte::table)));
    set(&t.l3[5], 0);
    story::show("fast/l1 table writable by a flag", set(&t.l1[5], pte::make(frame_at(t.l1), pte::read_only)));
    story::show("fast/then writable", set(&t.l1[5], pte::make(frame_at(t.l1), pte::data)));
    set(&t.l1[5], 0);
    story::succeeds("fast/unpin", unpin(frame_at(t.l4)));
    t.writable();
}

void descriptor_pages() {
    auto* gdt = static_cast<u64*>(allocate_pages());
    unsigned long frames[1] = {frame_at(gdt).raw};
    story::show("gdt/page writable", set_gdt(frames, 16));
    rights(gdt, pte::read_only);
    story::succeeds("gdt/page read-only", set_gdt(frames, 16));
    story::show("gdt/page writable while in use", rights(gdt, pte::data));
    story::show("gdt/page as l1", pin(frame_at(gdt), 1));
    story::traps("gdt/plain store", attempt([=] { *static_cast<volatile u64*>(gdt) = 0; }), 14, 3);
    story::succeeds("gdt/none", set_gdt(frames, 0));
    story::succeeds("gdt/page writable again", rights(gdt, pte::data));
    frames[0] = 0xfffffffff;
    story::show("gdt/frame beyond memory", set_gdt(frames, 16));
    frames[0] = frame_at(kernel_root()).raw;
    story::show("gdt/frame a table", set_gdt(frames, 16));
    story::show("gdt/too many", set_gdt(frames, 8193));
    story::show("gdt/reserved entries", set_gdt(frames, 7169));
    story::show("gdt/list not mapped", set_gdt(reinterpret_cast<unsigned long*>(0x1000), 16));
}

void other_operations() {
    void* const page = allocate_pages();
    void* const other = allocate_pages();
    *static_cast<u64*>(page) = 5;
    *static_cast<u64*>(other) = 7;
    story::show("ext/copy page", ext_op(MMUEXT_COPY_PAGE, frame_at(page).raw, frame_at(other).raw));
    story::show("ext/copied", static_cast<i64>(*static_cast<u64*>(page)));
    story::show("ext/clear page", ext_op(MMUEXT_CLEAR_PAGE, frame_at(page).raw));
    story::show("ext/cleared", static_cast<i64>(*static_cast<u64*>(page)));
    story::show("ext/clear a table", ext_op(MMUEXT_CLEAR_PAGE, frame_at(kernel_root()).raw));
    story::show("ext/clear beyond memory", ext_op(MMUEXT_CLEAR_PAGE, 0xfffffffff));
    story::show("ext/copy from nobody", ext_op(MMUEXT_COPY_PAGE, frame_at(page).raw, 0x210));
    story::show("ext/flush cache", ext_op(MMUEXT_FLUSH_CACHE));
    story::show("ext/flush cache global", ext_op(MMUEXT_FLUSH_CACHE_GLOBAL));
    story::show("ext/tlb flush local", ext_op(MMUEXT_TLB_FLUSH_LOCAL));
    story::show("ext/tlb flush all", ext_op(MMUEXT_TLB_FLUSH_ALL));
    story::show("ext/invlpg not canonical", ext_op(MMUEXT_INVLPG_LOCAL, 0x1234567812345678));
    story::show("ext/invlpg in the hypervisor", ext_op(MMUEXT_INVLPG_LOCAL, 0xffff830000000000));
    story::show("ext/tlb flush multi bad bitmap", ext_op(MMUEXT_TLB_FLUSH_MULTI, 0, 0x1000));
    story::show("ext/mark super", ext_op(MMUEXT_MARK_SUPER, frame_at(page).raw));
    story::show("ext/unmark super", ext_op(MMUEXT_UNMARK_SUPER, frame_at(page).raw));
    story::show("ext/command 14", ext_op(14));
    story::show("ext/command 99", ext_op(99));
    unsigned done = 9;
    mmuext_op_t list[3] = {};
    list[0].cmd = MMUEXT_TLB_FLUSH_LOCAL;
    list[1].cmd = 99;
    list[2].cmd = MMUEXT_TLB_FLUSH_LOCAL;
    story::show("ext/second of three is bad", call_mmuext(list, 3, &done));
    story::show("ext/done", done);
    story::show("ext/none", call_mmuext(list, 0, &done));
    story::show("ext/done of none", done);
    story::show("ext/list not mapped", call_mmuext(reinterpret_cast<mmuext_op_t*>(0x1000), 1));
    story::show("ext/for domain 5", call_mmuext(list, 1, nullptr, 5));
    story::show("ext/ldt of 8193 entries", ext_op(MMUEXT_SET_LDT, word(page), 8193));
    story::show("ext/ldt not aligned", ext_op(MMUEXT_SET_LDT, word(page) + 8, 16));
    story::show("ext/ldt in the hypervisor", ext_op(MMUEXT_SET_LDT, 0xffff830000000000, 16));
    story::show("ext/ldt not canonical", ext_op(MMUEXT_SET_LDT, 0x1234567812345000, 16));
    story::show("ext/no ldt", ext_op(MMUEXT_SET_LDT, 0, 0));
}

}  // namespace

void kit::guest_main() {
    pinning();
    bad_contents();
    roots();
    fast_paths();
    descriptor_pages();
    other_operations();
    story::end();
}
