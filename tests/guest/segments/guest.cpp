// SPDX-License-Identifier: MIT
// Descriptors: which the hypervisor takes, how it changes them, and segments made of them [ABI 2.6].
#include "guest/kit/calls.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/segments.hpp"
#include "guest/kit/start.hpp"
#include "guest/kit/user.hpp"
#include "guest/lib/story.hpp"
#include "hw/x86/registers.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

long answer(const Result<>& r) {
    return r ? 0 : -static_cast<long>(r.error());
}
std::optional<Trap> load_es(u32 selector) {
    const auto t = attempt([=] { asm volatile("mov %0, %%es" ::"r"(selector)); });
    asm volatile("mov %0, %%es" ::"r"(0));
    return t;
}

void descriptors() {
    using namespace descriptor;
    struct {
        const char* name;
        u64 value;
    } const kinds[] = {
        {"null", 0},
        {"data", data()},
        {"code 64", code64()},
        {"code 32", code32()},
        {"data of level 0", data() & ~ring3},
        {"data of level 1", (data() & ~ring3) | u64{1} << 45},
        {"data not present", data() & ~present},
        {"data not accessed", data() & ~accessed},
        {"code 64 and big", code64() | big},
        {"expand down", data() | u64{1} << 42},
        {"conforming code", code32() | u64{1} << 42},
        {"ldt", make(0, 0xfff, u64{2} << 40 | present)},
        {"tss", make(0, 0xfff, u64{9} << 40 | present)},
        {"busy tss", make(0, 0xfff, u64{11} << 40 | present)},
        {"call gate", u64{12} << 40 | present | ring3 | u64{0xe033} << 16 | 0x1000},
        {"interrupt gate", u64{14} << 40 | present | ring3 | u64{0xe033} << 16},
        {"trap gate", u64{15} << 40 | present | ring3 | u64{0xe033} << 16},
        {"type 0 present", present},
        {"ldt not present", make(0, 0xfff, u64{2} << 40)},
        {"16 bit code", make(0, 0xffff, accessed | writable | code | ordinary | ring3 | present)},
    };
    Gdt& gdt = Gdt::of_this_cpu();
    for (const auto& k : kinds) {
        text::FixedText<60> name;
        text::format(name, "descriptor/{}", k.name);
        (void)gdt.set(30, 0);
        const long r = answer(gdt.set(30, k.value));
        text::FixedText<40> value;
        text::format(value, "{}, {:x}", r, gdt.get(30));
        story::show_text(name.view(), value.view());
    }
    story::is("descriptor/cleared", gdt.set(30, 0).has_value());
    void* const page = allocate_pages();
    story::show("update/in an ordinary page", update_descriptor(machine_address(page).raw, data()));
    story::show("update/in a page table", update_descriptor(machine_address(&kernel_root()[5]).raw, data()));
    story::show("update/not aligned", update_descriptor(machine_address(page).raw + 4, data()));
    story::show("update/beyond memory", update_descriptor(u64{0xfffffffff} << 12, data()));
    story::show("update/of nobody", update_descriptor(u64{0x210} << 12, data()));
    story::show("update/bad one in an ordinary page",
                update_descriptor(machine_address(page).raw, make(0, 0xfff, u64{9} << 40 | present)));
}

void selectors() {
    Gdt& gdt = Gdt::of_this_cpu();
    // The table as the processor reads it is the hypervisor's memory.
    static struct [[gnu::packed]] {
        u16 limit;
        u64 base;
    } where;
    if (!attempt([] { asm volatile("sgdt %0" : "=m"(where)); }))
        story::traps("selector/table read at its address", attempt([] { (void)*reinterpret_cast<volatile u64*>(where.base); }),
                     14, 1);
    story::is("selector/set", gdt.set(20, descriptor::data()).has_value() && gdt.set(21, descriptor::code64()).has_value());
    story::runs("selector/data of level 3", load_es(20 * 8 + 3));
    story::show_trap("selector/data of level 0", load_es(20 * 8));
    story::traps("selector/empty entry", load_es(22 * 8 + 3), 13, 22 * 8);
    story::is("selector/not present set", gdt.set(23, descriptor::data() & ~descriptor::present).has_value());
    story::traps("selector/not present", load_es(23 * 8 + 3), 11, 23 * 8);
    story::traps("selector/beyond our table", load_es(600 * 8 + 3), 13, 600 * 8);
    story::show_trap("selector/reserved page", load_es(0xe003));
    story::runs("selector/null", load_es(3));
    // A code segment of ours works as the kernel's, too.
    story::runs("selector/far return into our code segment", attempt([] {
                    asm volatile(
                        "push $171; lea 1f(%%rip), %%rax; push %%rax; lretq; 1: push $0xe033; lea 2f(%%rip), %%rax; push %%rax; "
                        "lretq; 2:" ::
                            : "rax", "memory");
                }));
    story::traps("selector/far return into the hypervisor", attempt([] {
                     asm volatile("push $0xe008; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:" ::: "rax", "memory");
                 }),
                 13, 0xe008);
}

void bases() {
    Gdt& gdt = Gdt::of_this_cpu();
    static u64 area[4] = {0x11, 0x22, 0x33, 0x44};
    story::succeeds("base/fs", set_segment_base(SEGBASE_FS, word(area)));
    u64 value;
    asm volatile("mov %%fs:8, %0" : "=r"(value));
    story::equal_hex("base/through fs", value, 0x22);
    // A descriptor's base has 32 bits: it can only point into the lower half.
    const auto space = UserSpace::create();
    if (!space) story::error("no user space");
    const u32 low = static_cast<u32>((*space)->stack_top() - 4096);
    *reinterpret_cast<u64*>(u64{low}) = 0x55;
    story::is("tls/set", gdt.set(12, descriptor::data(low)).has_value());
    story::runs("tls/load", attempt([] { asm volatile("mov %0, %%fs" ::"r"(12 * 8 + 3)); }));
    asm volatile("mov %%fs:0, %0" : "=r"(value));
    story::equal_hex("tls/through fs", value, 0x55);
    story::traps("base/fs not mapped", attempt([] {
                     set_segment_base(SEGBASE_FS, 0x7f0000000000);
                     asm volatile("mov %%fs:0, %%rax" ::: "rax");
                 }),
                 14, 0);
    asm volatile("mov %0, %%fs" ::"r"(0));
    // Instructions for bases, if the processor has them and the hypervisor lets us.
    story::show_trap("base/rdfsbase", attempt([] { asm volatile("rdfsbase %%rax" ::: "rax"); }));
}

void local_table() {
    auto* ldt = static_cast<u64*>(allocate_pages());
    ldt[4] = descriptor::data();
    ldt[5] = descriptor::data() & ~descriptor::ring3;
    ldt[6] = descriptor::make(0, 0xfff, u64{9} << 40 | descriptor::present);
    story::succeeds("ldt/set", set_ldt(ldt, 16));
    const auto t = load_es(4 * 8 + 7);
    story::show_trap("ldt/page writable", t);
    if (t && t->frame.vector == 14) story::show("ldt/cr2 is in our table", t->cr2 - word(ldt) < page_size ? 1 : 0);
    update_va_mapping(word(ldt), pte::make(frame_at(ldt), pte::read_only), UVMF_INVLPG);
    story::show_trap("ldt/page with a tss in it", load_es(4 * 8 + 7));
    update_va_mapping(word(ldt), pte::make(frame_at(ldt), pte::data), UVMF_INVLPG);
    ldt[6] = 0;
    update_va_mapping(word(ldt), pte::make(frame_at(ldt), pte::read_only), UVMF_INVLPG);
    story::runs("ldt/page read-only", load_es(4 * 8 + 7));
    story::show_hex("ldt/entry of level 0 became", ldt[5]);
    story::traps("ldt/empty entry", load_es(7 * 8 + 7), 13, 7 * 8 + 4);
    story::traps("ldt/beyond its end", load_es(17 * 8 + 7), 13, 17 * 8 + 4);
    story::show("ldt/page writable while in use", update_va_mapping(word(ldt), pte::make(frame_at(ldt), pte::data), UVMF_INVLPG));
    story::succeeds("ldt/descriptor by hypercall", update_descriptor(machine_address(&ldt[7]).raw, descriptor::data()));
    story::runs("ldt/the new entry", load_es(7 * 8 + 7));
    story::succeeds("ldt/none", set_ldt(nullptr, 0));
    story::traps("ldt/gone", load_es(4 * 8 + 7), 13, 4 * 8 + 4);
    story::succeeds("ldt/page writable again", update_va_mapping(word(ldt), pte::make(frame_at(ldt), pte::data), UVMF_INVLPG));
}

#define PROGRAM(name, text)                                                                     \
    asm(".pushsection .user.text, \"ax\"; .globl " #name "; " #name ": " text "; .popsection"); \
    extern "C" const char name[]

PROGRAM(user_32, ".code32; mov $0x1234, %eax; mov $9, %ebx; int $0x80; .code64");
PROGRAM(user_32_syscall, ".code32; mov $0x77, %eax; syscall; .code64");

// Programs of 32 bits: int 0x80 and, on AMD, syscall.
void programs_of_32_bits() {
    const auto space = UserSpace::create();
    Frame f = (*space)->frame(user_32);
    f.cs = flat_cs32;
    const Trap t = run_user(f);
    story::equal_hex("32 bits/int 0x80", t.frame.vector, 0x80);
    story::equal_hex("32 bits/eax", t.frame.rax, 0x1234);
    story::equal_hex("32 bits/cs", t.frame.cs, flat_cs32);
    f = (*space)->frame(user_32_syscall);
    f.cs = flat_cs32;
    const Trap s = run_user(f);
    story::show_hex("32 bits/syscall", s.frame.vector);
    story::show_hex("32 bits/syscall's cs", s.frame.cs);
    (void)Gdt::of_this_cpu().set(24, descriptor::code32());
    f = (*space)->frame(user_32);
    f.cs = 24 * 8 + 3;
    const Trap own = run_user(f);
    story::equal_hex("32 bits/own code segment", own.frame.vector, 0x80);
    story::equal_hex("32 bits/its cs", own.frame.cs, 24 * 8 + 3);
}

}  // namespace

void kit::guest_main() {
    if (!Gdt::of_this_cpu().install()) story::error("no gdt");
    descriptors();
    selectors();
    bases();
    local_table();
    programs_of_32_bits();
    story::succeeds("gdt/remove", Gdt::of_this_cpu().remove());
    story::end();
}
