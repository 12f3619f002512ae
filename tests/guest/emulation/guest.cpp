// SPDX-License-Identifier: MIT
// Privileged instructions that the hypervisor carries out for the kernel: CPUID, MSRs, control registers, ports [ABI 2.3 to 2.7].
#include "guest/kit/calls.hpp"
#include "guest/kit/privileged.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/story.hpp"
#include "hw/x86/registers.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

void show_leaf(u32 leaf, u32 subleaf, u32 mask_a = ~0u, u32 mask_b = ~0u, u32 mask_c = ~0u, u32 mask_d = ~0u) {
    const CpuidAnswer r = cpuid(leaf, subleaf);
    text::FixedText<40> name;
    text::format(name, "cpuid/{:x}.{:x}", leaf, subleaf);
    text::FixedText<60> value;
    text::format(value, "{:08x} {:08x} {:08x} {:08x}", r.a & mask_a, r.b & mask_b, r.c & mask_c, r.d & mask_d);
    story::show_text(name.view(), value.view());
}

void identification() {
    show_leaf(0, 0, 0);
    constexpr u32 mtrr = 1u << 12;
    show_leaf(1, 0, ~0u, 0x00ff, ~0u, ~mtrr);  // the APIC's number and the CLFLUSH size are the machine's
    show_leaf(6, 0);
    show_leaf(7, 0);
    show_leaf(0xd, 0);
    show_leaf(0xd, 1);
    show_leaf(0xd, 2);
    show_leaf(0x80000000, 0);
    show_leaf(0x80000001, 0, ~0u, ~0u, ~0u, ~mtrr);
    show_leaf(0x80000007, 0);
    show_leaf(0x80000008, 0);
    show_leaf(0x40000003, 0, 7, 0, 0, 0);
    show_leaf(0x40000004, 0);
    show_leaf(0x40000005, 0);
    show_leaf(0x40000006, 0);
    const CpuidAnswer features = cpuid(1), structured = cpuid(7), extended = cpuid(0x80000001);
    story::show("cpuid/mtrr", (features.d & mtrr) != 0);
    story::is("hidden/vmx, monitor, pcid, x2apic's deadline", (features.c & (1u << 5 | 1u << 17 | 1u << 24)) == 0);
    story::is("hidden/pse, pge, pse36, vme", (features.d & (1u << 1 | 1u << 3 | 1u << 13 | 1u << 17)) == 0);
    story::is("hidden/smep, smap, umip, pku, la57, invpcid",
              (structured.b & (1u << 7 | 1u << 20 | 1u << 10)) == 0 && (structured.c & (1u << 2 | 1u << 3 | 1u << 16)) == 0);
    story::is("hidden/svm, large pages of 1 GiB", (extended.c & 4) == 0 && (extended.d & 1u << 26) == 0);
    story::is("shown/hypervisor, osxsave on this path, nx, long mode, syscall",
              (features.c >> 31) == 1 && (extended.d & (1u << 20 | 1u << 29 | 1u << 11)) == (1u << 20 | 1u << 29 | 1u << 11));
}

void msrs() {
    static constexpr u32 numbers[] = {
        0x10,       0x17,       0x1b,       0x3a,       0x48,       0x49,       0x8b,       0xc1,       0xce,
        0xfe,       0x10a,      0x140,      0x174,      0x175,      0x176,      0x179,      0x17a,      0x17b,
        0x186,      0x198,      0x199,      0x19c,      0x1a0,      0x1d9,      0x200,      0x250,      0x277,
        0x2ff,      0x345,      0x400,      0x401,      0x600,      0x802,      0x832,      0xda0,      0x40000000,
        0x40000001, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102,
        0xc0000103, 0xc0010000, 0xc0010004, 0xc0010007, 0xc0010010, 0xc0010015, 0xc001001f, 0xc0010030, 0xc0010058,
        0xc0010114, 0xc0010117, 0xc0011020, 0xc0011028, 0xc0011029, 0xc001103d, 0x12345678};
    for (const u32 number : numbers) {
        u64 value = 0;
        const auto t = attempt([&] { value = read_msr(number); });
        text::FixedText<40> name;
        text::format(name, "rdmsr/{:x}", number);
        const bool varies =
            number == 0x10 || number == 0xc0000101 || number == 0x8b;  // a clock, our own address, the machine's microcode
        if (t) {
            story::show_trap(name.view(), t);
        } else if (varies) {
            story::show_text(name.view(), "a value");
        } else {
            story::show_hex(name.view(), value);
        }
        // Writing back what was read, and writing zero to what cannot be read.
        const auto w = attempt([&] { write_msr(number, value); });
        text::FixedText<40> write_name;
        text::format(write_name, "wrmsr/{:x}", number);
        story::show_trap(write_name.view(), w);
    }
    set_segment_base(SEGBASE_GS_KERNEL, word(&cpu_of(0)));
    story::traps("wrmsr/gs base not canonical", attempt([] { write_msr(0xc0000101, 0x1234567812345678); }), 13, 0);
    story::traps("wrmsr/fs base not canonical", attempt([] { write_msr(0xc0000100, 0x1234567812345678); }), 13, 0);
    static u64 area[2] = {1, 2};
    story::runs("wrmsr/fs base", attempt([] { write_msr(0xc0000100, word(area)); }));
    u64 value = 0;
    asm volatile("mov %%fs:8, %0" : "=r"(value));
    story::equal("wrmsr/fs base works", static_cast<i64>(value), 2);
    story::runs("wrmsr/user's gs base", attempt([] { write_msr(0xc0000102, 0x123000); }));
    story::equal_hex("wrmsr/user's gs base reads back", read_msr(0xc0000102), 0x123000);
    story::show_trap("wrmsr/efer without nx", attempt([] { write_msr(0xc0000080, 0x501); }));
}

void control_registers() {
    story::equal_hex("cr0/read", read_cr<0>(), 0x80050033);
    story::runs("cr0/clts", attempt([] { asm volatile("clts"); }));
    story::equal_hex("cr0/ts is clear", read_cr<0>() & x86::cr0::ts, 0);
    story::runs("cr0/write ts", attempt([] { write_cr<0>(read_cr<0>() | x86::cr0::ts); }));
    story::equal_hex("cr0/ts reads back", read_cr<0>() & x86::cr0::ts, x86::cr0::ts);
    asm volatile("clts");
    story::show_trap("cr0/without wp", attempt([] { write_cr<0>(read_cr<0>() & ~x86::cr0::wp); }));
    story::show_hex("cr0/afterwards", read_cr<0>());
    story::show_trap("cr0/cache disable", attempt([] { write_cr<0>(read_cr<0>() | x86::cr0::cd); }));
    story::show_hex("cr2/read", read_cr<2>() & 0xfff);
    story::show_trap("cr2/write", attempt([] { write_cr<2>(0x5000); }));
    story::show_hex("cr2/reads back", read_cr<2>());
    story::show_trap("cr3/write of the same", attempt([] { write_cr<3>(read_cr<3>()); }));
    story::show_trap("cr3/write of rubbish", attempt([] { write_cr<3>(0x5000); }));
    const u64 cr4 = read_cr<4>();
    story::show_hex("cr4/read", cr4);
    story::show_trap("cr4/write of the same", attempt([=] { write_cr<4>(cr4); }));
    story::show_trap("cr4/with tsd, de, osxsave",
                     attempt([=] { write_cr<4>(cr4 | x86::cr4::tsd | x86::cr4::de | x86::cr4::osxsave); }));
    story::show_hex("cr4/reads back", read_cr<4>());
    story::show_trap("cr4/with smep, smap, pse",
                     attempt([=] { write_cr<4>(cr4 | x86::cr4::smep | x86::cr4::smap | x86::cr4::pse); }));
    story::show_hex("cr4/afterwards", read_cr<4>());
    story::show_trap("cr4/all bits", attempt([] { write_cr<4>(~u64{0}); }));
    story::show_hex("cr4/after all bits", read_cr<4>());
    write_cr<4>(cr4 | x86::cr4::osxsave);
    story::show_trap("cr8/read", attempt([] { asm volatile("mov %%cr8, %%rax" ::: "rax"); }));
    story::show_trap("cr8/write", attempt([] { asm volatile("mov %0, %%cr8" ::"r"(u64{0})); }));
    story::show_trap("dr/read 7", attempt([] { asm volatile("mov %%dr7, %%rax" ::: "rax"); }));
    story::show_trap("dr/write 7", attempt([] { asm volatile("mov %0, %%dr7" ::"r"(u64{0x400})); }));
    story::show_trap("smsw", attempt([] { asm volatile("smsw %%rax" ::: "rax"); }));
    story::show_trap("lmsw", attempt([] { asm volatile("lmsw %%ax" ::"a"(0x3b)); }));
}

void others() {
    story::runs("wbinvd", attempt([] { asm volatile("wbinvd" ::: "memory"); }));
    story::show_trap("invd", attempt([] { asm volatile("invd" ::: "memory"); }));
    story::show_trap("rdpmc", attempt([] { asm volatile("rdpmc" ::"c"(0) : "eax", "edx"); }));
    story::runs("rdtsc", attempt([] { tsc(); }));
    story::show_trap("monitor", attempt([] { asm volatile("monitor" ::"a"(0), "c"(0), "d"(0)); }));
    story::show_trap("mwait", attempt([] { asm volatile("mwait" ::"a"(0), "c"(0)); }));
    story::show_trap("vmmcall", attempt([] { asm volatile("vmmcall" ::"a"(0)); }));
    story::show_trap("vmcall", attempt([] { asm volatile("vmcall" ::"a"(0)); }));
    story::show_trap("clac", attempt([] { asm volatile("clac"); }));
    story::show_trap("invpcid", attempt([] {
                         u64 d[2] = {};
                         asm volatile("invpcid %0, %%rax" ::"m"(d), "a"(u64{0}));
                     }));
    story::show_trap("xsetbv 7", attempt([] { asm volatile("xsetbv" ::"a"(7), "d"(0), "c"(0)); }));
    story::show_trap("xsetbv 2 without x87", attempt([] { asm volatile("xsetbv" ::"a"(2), "d"(0), "c"(0)); }));
    story::show_trap("xsetbv of register 1", attempt([] { asm volatile("xsetbv" ::"a"(7), "d"(0), "c"(1)); }));
    story::show_trap("xgetbv", attempt([] { asm volatile("xgetbv" ::"c"(0) : "eax", "edx"); }));
    story::show_trap("lldt", attempt([] { asm volatile("lldt %%ax" ::"a"(0)); }));
    story::show_trap("sldt", attempt([] { asm volatile("sldt %%eax" ::: "eax"); }));
    story::show_trap("str", attempt([] { asm volatile("str %%eax" ::: "eax"); }));
    story::show_trap("sgdt", attempt([] {
                         u8 d[10];
                         asm volatile("sgdt %0" : "=m"(d));
                     }));
    story::show_trap("sidt", attempt([] {
                         u8 d[10];
                         asm volatile("sidt %0" : "=m"(d));
                     }));
    story::show_trap("verr", attempt([] { asm volatile("verr %%ax" ::"a"(flat_ss) : "cc"); }));
    story::show_trap("lar", attempt([] { asm volatile("lar %%eax, %%eax" : : "a"(u32{flat_ss}) : "cc"); }));
}

void ports() {
    story::traps("ports/in before set_iopl", attempt([] { in8(0x80); }), 13, 0);
    story::traps("ports/cli before set_iopl", attempt([] { asm volatile("cli"); }), 13, 0);
    physdev_set_iopl_t iopl{.iopl = 1};
    story::succeeds("ports/set_iopl", call_physdev(PHYSDEVOP_set_iopl, &iopl));
    static constexpr u16 list[] = {0x20, 0x21,  0x40,  0x43,  0x61,  0x64,  0x70,  0x71, 0x80,
                                   0xa1, 0x3f8, 0x3fd, 0x2f8, 0x608, 0xcf8, 0xcfb, 0xcfc};
    for (const u16 port : list) {
        text::FixedText<40> name;
        text::format(name, "ports/in {:x}", port);
        story::show_trap(name.view(), attempt([=] { in8(port); }));
    }
    story::equal_hex("ports/pic reads as nothing", in8(0x21), 0xff);
    story::equal_hex("ports/pit reads as nothing", in8(0x40), 0xff);
    story::equal_hex("ports/serial line reads as nothing", in8(0x3fd), 0xff);
    story::runs("ports/writes to the pic vanish", attempt([] { out8(0x21, 0); }));
    story::runs("ports/cli and sti", attempt([] { asm volatile("cli; sti"); }));
    out32(0xcf8, 0x80000000);
    story::show_hex("ports/config address reads back", in32(0xcf8));
    story::equal_hex("ports/host bridge", in32(0xcfc), 0x29c08086);
    story::equal_hex("ports/its lower word", in16(0xcfc), 0x8086);
    story::equal_hex("ports/its upper byte", in8(0xcff), 0x29);
    out32(0xcf8, 0x8000f800);
    story::equal_hex("ports/isa bridge", in32(0xcfc), 0x29188086);
    out32(0xcf8, 0x80ff0000);
    story::equal_hex("ports/nobody there", in32(0xcfc), 0xffffffff);
    static u8 bytes[4];
    story::runs("ports/string input", attempt([] {
                    void* to = bytes;
                    u64 n = 4;
                    asm volatile("rep insb" : "+D"(to), "+c"(n) : "d"(0x80) : "memory");
                }));
    story::runs("ports/string output", attempt([] {
                    const void* from = bytes;
                    u64 n = 4;
                    asm volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(0x80) : "memory");
                }));
    story::traps("ports/string input to nowhere", attempt([] {
                     void* to = reinterpret_cast<void*>(0x1000);
                     u64 n = 4;
                     asm volatile("rep insb" : "+D"(to), "+c"(n) : "d"(0x80) : "memory");
                 }),
                 14, 2);
    story::traps("ports/string output from the hypervisor", attempt([] {
                     const void* from = reinterpret_cast<const void*>(0xffff830000000000);
                     u64 n = 4;
                     asm volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(0x80) : "memory");
                 }),
                 13, 0);
}

}  // namespace

void kit::guest_main() {
    ports();
    identification();
    msrs();
    control_registers();
    others();
    story::end();
}
