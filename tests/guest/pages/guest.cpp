// SPDX-License-Identifier: MIT
// Which page-table entries are legal at which level, and every way to write them [ABI 3.2 to 3.6].
#include "guest/kit/calls.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/story.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

u64* entry;  // an L1 entry of the window that is free to play with
u64 va;      // what it maps
void* page;  // a page of ours
Mfn frame;

long set(u64* at, u64 value, u32 owner = DOMID_SELF) {
    const auto r = set_entry(at, value, owner);
    return r ? 0 : -static_cast<long>(r.error());
}

void prepare() {
    page = allocate_pages();
    frame = frame_at(page);
    va = reserve_window(512);
    if (!map(va, pte::make(frame, pte::data))) story::error("the window cannot be mapped");
    entry = find_entry(kernel_root(), va, 1);
}

void bits_of_level_1() {
    static constexpr struct {
        const char* name;
        u64 bit;
    } bits[] = {{"writable", 2},
                {"user", 4},
                {"pwt", 8},
                {"pcd", 0x10},
                {"accessed", 0x20},
                {"dirty", 0x40},
                {"pat", 0x80},
                {"global", 0x100},
                {"avail 9", 0x200},
                {"avail 10", 0x400},
                {"avail 11", 0x800},
                {"bit 52", u64{1} << 52},
                {"bit 53", u64{1} << 53},
                {"bit 58", u64{1} << 58},
                {"bit 59", u64{1} << 59},
                {"bit 62", u64{1} << 62},
                {"no execute", u64{1} << 63}};
    for (const auto& b : bits) {
        text::FixedText<40> name;
        text::format(name, "level 1/{}", b.name);
        const long r = set(entry, pte::make(frame, pte::present | b.bit));
        if (r != 0) {
            story::show(name.view(), r);
            continue;
        }
        text::FixedText<40> value;
        text::format(value, "{:#x}", *entry & ~pte::address & ~(pte::global | u64{1} << 52));
        story::show_text(name.view(), value.view());
    }
    story::succeeds("level 1/user is forced", set(entry, pte::make(frame, pte::present | pte::writable)));
    story::equal_hex("level 1/user reads back", *entry & pte::user, pte::user);
    story::runs("level 1/and the page works", attempt([] { *reinterpret_cast<volatile u64*>(va) = 5; }));
    story::succeeds("level 1/not present, any content", set(entry, 0x123456789abcdef0));
    story::equal_hex("level 1/reads back as it is", *entry, 0x123456789abcdef0);
    flush_local();
    story::traps("level 1/and faults", attempt([] { (void)*reinterpret_cast<volatile u64*>(va); }), 14, 0);
    story::succeeds("level 1/zero", set(entry, 0));
}

void upper_levels() {
    auto* l1 = *new_table();
    auto* l2 = *new_table();
    auto* l3 = *new_table();
    const u64 area = va + (u64{1} << 39) * 2;  // an L4 slot that nothing uses
    u64* const slot4 = find_entry(kernel_root(), area, 4);
    story::succeeds("upper/level 4 entry", set(slot4, pte::make(frame_at(l3), pte::table)));
    story::succeeds("upper/level 3 entry", set(l3, pte::make(frame_at(l2), pte::table)));
    story::succeeds("upper/level 2 entry", set(l2, pte::make(frame_at(l1), pte::table)));
    struct {
        const char* name;
        u64* at;
        Mfn below;
    } const levels[] = {{"level 2", l2, frame_at(l1)}, {"level 3", l3, frame_at(l2)}, {"level 4", slot4, frame_at(l3)}};
    struct {
        const char* name;
        u64 bit;
    } const bits[] = {{"pwt", 8},
                      {"pcd", 0x10},
                      {"pse", 0x80},
                      {"global", 0x100},
                      {"avail 9", 0x200},
                      {"avail 11", 0x800},
                      {"bit 12", 0x1000},
                      {"bit 52", u64{1} << 52},
                      {"bit 59", u64{1} << 59},
                      {"no execute", u64{1} << 63}};
    for (const auto& level : levels) {
        for (const auto& b : bits) {
            text::FixedText<40> name;
            text::format(name, "{}/{}", level.name, b.name);
            const u64 good = pte::make(level.below, pte::table);
            story::show(name.view(), set(level.at, b.bit == 0x1000 ? good ^ 0x1000 : good | b.bit));
            set(level.at, good);
        }
        text::FixedText<40> name;
        text::format(name, "{}/read-only", level.name);
        story::show(name.view(), set(level.at, pte::make(level.below, pte::table & ~pte::writable)));
        name.clear();
        text::format(name, "{}/without user", level.name);
        story::show(name.view(), set(level.at, pte::make(level.below, pte::present | pte::writable)));
        name.write(", reads back");
        story::show_hex(name.view(), *level.at & 0x86);
        set(level.at, pte::make(level.below, pte::table));
    }
    story::show("wrong level/l1 in level 3", set(l3, pte::make(frame_at(l1), pte::table)));
    story::show("wrong level/l3 in level 3", set(&l3[1], pte::make(frame_at(l3), pte::table)));
    story::show("wrong level/l2 in level 2", set(&l2[1], pte::make(frame_at(l2), pte::table)));
    story::show("wrong level/l3 in level 2", set(&l2[1], pte::make(frame_at(l3), pte::table)));
    story::show("wrong level/l4 in level 4",
                set(find_entry(kernel_root(), area + (u64{1} << 39), 4), pte::make(frame_at(kernel_root()), pte::table)));
    story::show("wrong level/l4 read-only in level 4", set(find_entry(kernel_root(), area + (u64{1} << 39), 4),
                                                           pte::make(frame_at(kernel_root()), pte::present | pte::user)));
    set(find_entry(kernel_root(), area + (u64{1} << 39), 4), 0);
    story::show("wrong level/writable page in level 2", set(&l2[1], pte::make(frame, pte::table)));
    story::show("level 1/table writable", set(entry, pte::make(frame_at(l1), pte::data)));
    story::show("level 1/root writable", set(entry, pte::make(frame_at(kernel_root()), pte::data)));
    story::show("level 1/table read-only", set(entry, pte::make(frame_at(l1), pte::read_only)));
    set(entry, 0);
    for (const unsigned slot : {255u, 256u, 257u, 263u, 271u, 272u}) {
        text::FixedText<40> name;
        text::format(name, "level 4/slot {} to zero", slot);
        if (slot != 255 && slot != 272) story::show(name.view(), set(&kernel_root()[slot], 0));
        name.clear();
        text::format(name, "level 4/slot {} to a table", slot);
        story::show(name.view(), set(&kernel_root()[slot], pte::make(frame_at(l3), pte::table)));
        if (slot == 255 || slot == 272) set(&kernel_root()[slot], 0);
    }
    set(slot4, 0);
}

void frames() {
    story::show("frames/beyond all memory", set(entry, pte::make(Mfn(0xfffffffff), pte::data)));
    story::show("frames/beyond the address width", set(entry, pte::make(Mfn(u64{1} << 39), pte::data)));
    story::show("frames/first page of the machine", set(entry, pte::make(Mfn(0), pte::data)));
    story::show("frames/video memory", set(entry, pte::make(Mfn(0xa0), pte::data)));
    story::show_hex("frames/cacheability of video memory", *entry & (pte::pwt | pte::pcd | pte::pat));
    story::show("frames/rom", set(entry, pte::make(Mfn(0xf0), pte::read_only)));
    story::show_hex("frames/cacheability of rom", *entry & (pte::pwt | pte::pcd | pte::pat));
    story::show("frames/local apic", set(entry, pte::make(Mfn(0xfee00), pte::data)));
    story::show("frames/io-apic", set(entry, pte::make(Mfn(0xfec00), pte::data)));
    story::show("frames/io-apic read-only", set(entry, pte::make(Mfn(0xfec00), pte::read_only)));
    story::show("frames/hpet", set(entry, pte::make(Mfn(0xfed00), pte::data)));
    story::show("frames/hpet read-only", set(entry, pte::make(Mfn(0xfed00), pte::read_only)));
    story::show("frames/ecam", set(entry, pte::make(Mfn(0xb0000), pte::data)));
    story::show("frames/msi window", set(entry, pte::make(Mfn(0xfeeff), pte::data)));
    story::show("frames/empty space above", set(entry, pte::make(Mfn(0x1000000), pte::data)));
    story::show("frames/video memory of DOMID_IO", set(entry, pte::make(Mfn(0xa0), pte::data), DOMID_IO));
    story::show("frames/own memory of DOMID_IO", set(entry, pte::make(frame, pte::data), DOMID_IO));
    story::show("frames/own memory of DOMID_XEN", set(entry, pte::make(frame, pte::data), DOMID_XEN));
    story::show("frames/domain 5", set(entry, pte::make(frame, pte::data), 5));
    story::show("frames/DOMID_INVALID", set(entry, pte::make(frame, pte::data), DOMID_INVALID));
    // The hypervisor's text at 2 MiB of the machine: of nobody.
    story::show("frames/hypervisor's image", set(entry, pte::make(Mfn(0x210), pte::read_only)));
    story::show("frames/cached to uncached", set(entry, pte::make(frame, pte::data | pte::uncached)));
    story::show("frames/write combining", set(entry, pte::make(frame, pte::data | pte::pat | pte::pwt)));
    set(entry, 0);
}

void requests() {
    unsigned done = 77;
    mmu_update_t list[4];
    const u64 at = machine_address(entry).raw;
    list[0] = {.ptr = at, .val = pte::make(frame, pte::read_only)};
    list[1] = {.ptr = at + 1, .val = frame.raw};
    list[2] = {.ptr = at, .val = pte::make(Mfn(0xfffffffff), pte::data)};
    list[3] = {.ptr = at, .val = 0};
    story::succeeds("mmu_update/nothing", call_mmu_update(list, 0, &done));
    story::equal("mmu_update/done of nothing", done, 0);
    story::show("mmu_update/third fails", call_mmu_update(list, 4, &done));
    story::show("mmu_update/done", done);
    story::is("mmu_update/the first is there", pte::frame(*entry) == frame);
    list[0].ptr = at + 4;
    story::show("mmu_update/not aligned", call_mmu_update(list, 1, &done));
    story::show("mmu_update/done after it", done);
    list[0].ptr = at;
    story::show("mmu_update/list not mapped", call_mmu_update(reinterpret_cast<mmu_update_t*>(0x1000), 1, &done));
    story::show("mmu_update/list in the hypervisor",
                call_mmu_update(reinterpret_cast<mmu_update_t*>(0xffff830000000000), 1, &done));
    story::show("mmu_update/done pointer bad", call_mmu_update(list, 1, reinterpret_cast<unsigned*>(0x1000)));
    story::succeeds("mmu_update/no done pointer", call_mmu_update(list, 1, nullptr));
    for (unsigned command = 1; command < 4; ++command) {
        text::FixedText<40> name;
        text::format(name, "mmu_update/command {}", command);
        list[0] = {.ptr = (command == 1 ? frame.raw << page_shift : at) | command,
                   .val = command == 1 ? pfn_at(page).raw : pte::make(frame, pte::data)};
        story::show(name.view(), call_mmu_update(list, 1));
    }
    list[0] = {.ptr = u64{0xfffffffff} << 12, .val = 0};
    story::show("mmu_update/table beyond memory", call_mmu_update(list, 1));
    list[0] = {.ptr = frame.raw << page_shift, .val = 0x1122334455667788};
    story::show("mmu_update/ordinary page", call_mmu_update(list, 1));
    story::show_hex("mmu_update/its content", *static_cast<u64*>(page));
    list[0] = {.ptr = (frame.raw << page_shift) + 8, .val = 5};
    story::show("mmu_update/for domain 5", call_mmu_update(list, 1, nullptr, 5));
    story::show("mmu_update/tables of domain 5", call_mmu_update(list, 1, nullptr, 6u << 16 | DOMID_SELF));
    list[0] = {.ptr = u64{0xa0} << 12 | MMU_MACHPHYS_UPDATE, .val = 5};
    story::show("machphys/not our frame", call_mmu_update(list, 1));
    list[0] = {.ptr = u64{0xfffffffff} << 12 | MMU_MACHPHYS_UPDATE, .val = 5};
    story::show("machphys/beyond memory", call_mmu_update(list, 1));
    list[0] = {.ptr = frame.raw << page_shift | MMU_MACHPHYS_UPDATE, .val = 0x999};
    story::succeeds("machphys/our frame", call_mmu_update(list, 1));
    story::equal_hex("machphys/the list changed", pfn_of(frame).raw, 0x999);
    list[0].val = pfn_at(page).raw;
    story::succeeds("machphys/and back", call_mmu_update(list, 1));
    set(entry, 0);
}

void va_mapping() {
    story::succeeds("va/map", update_va_mapping(va, pte::make(frame, pte::data), UVMF_INVLPG));
    story::runs("va/works", attempt([] { *reinterpret_cast<volatile u64*>(va) = 6; }));
    story::succeeds("va/read-only", update_va_mapping(va, pte::make(frame, pte::read_only), UVMF_INVLPG));
    story::traps("va/no writes now", attempt([] { *reinterpret_cast<volatile u64*>(va) = 6; }), 14, 3);
    story::succeeds("va/flush all", update_va_mapping(va, pte::make(frame, pte::data), UVMF_TLB_FLUSH | UVMF_ALL));
    story::runs("va/writes again", attempt([] { *reinterpret_cast<volatile u64*>(va) = 6; }));
    static u64 everybody = ~u64{0};
    story::succeeds("va/flush by bitmap",
                    update_va_mapping(va, pte::make(frame, pte::read_only), UVMF_TLB_FLUSH | word(&everybody)));
    story::show("va/flush by bad bitmap", update_va_mapping(va, pte::make(frame, pte::read_only), UVMF_TLB_FLUSH | 0x1000));
    story::show("va/flush kind 3", update_va_mapping(va, pte::make(frame, pte::read_only), 3));
    story::show("va/no table", update_va_mapping(0x7f0000000000, pte::make(frame, pte::data)));
    story::show("va/not canonical", update_va_mapping(0x1234567812345678, pte::make(frame, pte::data)));
    story::show("va/the hypervisor's", update_va_mapping(0xffff830000000000, pte::make(frame, pte::data)));
    story::show("va/the hypervisor's m2p", update_va_mapping(m2p_base, pte::make(frame, pte::data)));
    story::show("va/frame beyond", update_va_mapping(va, pte::make(Mfn(0xfffffffff), pte::data)));
    story::show("va/bad bits", update_va_mapping(va, pte::make(frame, pte::data) | u64{1} << 51));
    story::succeeds("va/clear", update_va_mapping(va, 0, UVMF_INVLPG));
    story::traps("va/gone", attempt([] { (void)*reinterpret_cast<volatile u64*>(va); }), 14, 0);
    story::show("va/otherdomain", hypercall(__HYPERVISOR_update_va_mapping_otherdomain, va, 0, 0, 5));
    story::show("va/otherdomain self", hypercall(__HYPERVISOR_update_va_mapping_otherdomain, va, 0, 0, DOMID_SELF));
}

// The guest's own stores into its read-only tables [ABI 3.6].
void plain_stores() {
    const u64 readable = pte::make(frame, pte::read_only), writable = pte::make(frame, pte::data);
    story::runs("store/mov", attempt([=] { store_entry(entry, readable); }));
    story::is("store/arrived", pte::frame(*entry) == frame);
    story::runs("store/xchg", attempt([=] {
                    u64 value = writable;
                    asm volatile("xchg %0, %1" : "+r"(value), "+m"(*entry)::"memory");
                    story::is("store/xchg returns the old one", ((value ^ readable) & (pte::address | 7)) == 0);
                }));
    story::runs(
        "store/cmpxchg", attempt([=] {
            u64 old = *entry;
            u8 equal;
            asm volatile("lock cmpxchg %3, %1; sete %2" : "+a"(old), "+m"(*entry), "=q"(equal) : "r"(readable) : "memory", "cc");
            story::equal("store/cmpxchg wins", equal, 1);
        }));
    story::runs(
        "store/cmpxchg that loses", attempt([=] {
            u64 old = 0x1;
            u8 equal;
            asm volatile("lock cmpxchg %3, %1; sete %2" : "+a"(old), "+m"(*entry), "=q"(equal) : "r"(writable) : "memory", "cc");
            story::equal("store/cmpxchg loses", equal, 0);
            story::is("store/and tells the value", old == *entry);
        }));
    story::runs("store/lock or", attempt([] { asm volatile("lock orq $0x200, %0" : "+m"(*entry)::"memory", "cc"); }));
    story::equal_hex("store/or's bit", *entry & 0x200, 0x200);
    story::runs("store/lock and", attempt([] { asm volatile("lock andq $~0x200, %0" : "+m"(*entry)::"memory", "cc"); }));
    story::equal_hex("store/and's bit", *entry & 0x200, 0);
    story::runs("store/lock btr", attempt([] {
                    u8 carry;
                    asm volatile("lock btrq $5, %0; setc %1" : "+m"(*entry), "=q"(carry)::"memory", "cc");
                }));
    story::equal_hex("store/btr's bit", *entry & 0x20, 0);
    story::show_trap("store/32 bits low", attempt([] { *reinterpret_cast<volatile u32*>(entry) = 0; }));
    story::show_trap("store/16 bits", attempt([] { *reinterpret_cast<volatile u16*>(entry) = 0; }));
    story::show_trap("store/8 bits", attempt([] { *reinterpret_cast<volatile u8*>(entry) = 0; }));
    story::show_trap("store/not aligned", attempt([] { *reinterpret_cast<volatile u64*>(word(entry) + 4) = 0; }));
    store_entry(entry, 0);
    story::show_trap("store/bad frame", attempt([] { store_entry(entry, pte::make(Mfn(0xfffffffff), pte::data)); }));
    story::show_trap("store/a table writable",
                     attempt([] { store_entry(entry, pte::make(frame_at(kernel_root()), pte::data)); }));
    story::equal_hex("store/nothing arrived", *entry, 0);
    u64* const l2 = find_entry(kernel_root(), va, 2);
    story::traps("store/level 2 is not emulated", attempt([=] { store_entry(l2, *l2); }), 14, 3);
    story::traps("store/level 4 is not emulated", attempt([=] { store_entry(kernel_root(), 0); }), 14, 3);
    story::show_trap("store/movs", attempt([] {
                         u64 value = 0;
                         void *to = entry, *from = &value;
                         asm volatile("movsq" : "+D"(to), "+S"(from)::"memory");
                     }));
    story::show_trap("store/stos", attempt([] {
                         void* to = entry;
                         asm volatile("stosq" : "+D"(to) : "a"(0) : "memory");
                     }));
    story::show_trap("store/add", attempt([] { asm volatile("addq $0, %0" : "+m"(*entry)::"memory", "cc"); }));
    story::show_trap("store/inc", attempt([] { asm volatile("incq %0" : "+m"(*entry)::"memory", "cc"); }));
    story::show_hex("store/what is there", *entry & 0xfff);
    set(entry, 0);
    story::show_trap("store/xadd", attempt([] {
                         u64 value = 0;
                         asm volatile("lock xaddq %0, %1" : "+r"(value), "+m"(*entry)::"memory", "cc");
                     }));
}

void keeping_read_only() {
    u64* const own = find_entry(kernel_root(), word(kernel_root()), 1);
    story::succeeds("set-up/a table's page asked for writable",
                    set_entry_keeping_read_only(own, (*own | pte::writable | pte::available2)));
    story::equal_hex("set-up/stays read-only, the other bit changes", *own & (pte::writable | pte::available2), pte::available2);
}

}  // namespace

void kit::guest_main() {
    prepare();
    bits_of_level_1();
    upper_levels();
    frames();
    requests();
    va_mapping();
    plain_stores();
    keeping_read_only();
    story::end();
}
