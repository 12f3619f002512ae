// SPDX-License-Identifier: MIT
// User mode: entry by iret, system calls, traps and interrupts of programs, what they cannot reach [ABI 2.1, 2.2].
#include <cstring>

#include "guest/kit/calls.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/start.hpp"
#include "guest/kit/user.hpp"
#include "guest/lib/story.hpp"
#include "hw/x86/registers.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

using namespace x86::vector;

#define PROGRAM(name, text)                                                                     \
    asm(".pushsection .user.text, \"ax\"; .globl " #name "; " #name ": " text "; .popsection"); \
    extern "C" const char name[]

PROGRAM(user_syscall,
        "mov $77, %eax; mov $1, %edi; mov $2, %esi; mov $3, %edx; std; syscall; after_syscall: mov %eax, %ebx; cld; syscall");
extern "C" const char after_syscall[];
PROGRAM(user_divide, "xor %edx, %edx; xor %ecx, %ecx; div %ecx");
PROGRAM(user_ud, "ud2");
PROGRAM(user_int3, "int3; nop");
PROGRAM(user_int80, "mov $5, %eax; int $0x80; nop");
PROGRAM(user_int4, "int $4");
PROGRAM(user_int21, "int $0x21");
PROGRAM(user_int0e, "int $14");
PROGRAM(user_read, "mov (%rdi), %rax; syscall");
PROGRAM(user_write, "movq $5, (%rdi); syscall");
PROGRAM(user_jump, "jmp *%rdi");
PROGRAM(user_hlt, "hlt");
PROGRAM(user_cli, "cli; syscall");
PROGRAM(user_in, "in $0x80, %al; syscall");
PROGRAM(user_rdmsr, "mov $0xc0000080, %ecx; rdmsr; syscall");
PROGRAM(user_cr0, "mov %cr0, %rax; syscall");
PROGRAM(user_cpuid, "mov $1, %eax; cpuid; syscall");
PROGRAM(user_forced_cpuid, "mov $0x40000000, %eax; ud2; .ascii \"xen\"; cpuid; syscall");
PROGRAM(user_step, "pushf; orl $0x100, (%rsp); popf; nop; stepped: nop; syscall");
extern "C" const char stepped[];
PROGRAM(user_spin, "1: dec %rdi; jnz 1b; syscall");
PROGRAM(user_segments, "mov %cs, %eax; mov %ss, %ebx; mov %ds, %r8d; mov %gs:0, %rdx; syscall");
PROGRAM(user_fs, "mov %fs:8, %rax; syscall");
PROGRAM(user_popf, "push $0x3202; popf; pushf; pop %rax; syscall");
PROGRAM(user_sysenter, "sysenter");

UserSpace* space;

Trap run(const void* program, u64 argument = 0, u64 rflags = 0) {
    Frame f = space->frame(program);
    f.rdi = argument;
    f.rflags |= rflags;
    return run_user(f);
}
std::optional<Trap> trap_of(const void* program, u64 argument = 0) {
    return run(program, argument);
}
u64 at(const void* label) {
    return space->address(label);
}

void system_calls() {
    const Trap t = run(user_syscall);
    const Frame& f = t.frame;
    story::equal_hex("syscall/arrives by its callback", f.vector, static_cast<u32>(Code::syscall));
    story::is("syscall/registers", f.rax == 77 && f.rdi == 1 && f.rsi == 2 && f.rdx == 3);
    story::is("syscall/rip is behind the instruction", f.rip == at(after_syscall));
    story::is("syscall/rcx is rip", f.rcx == f.rip);
    story::equal_hex("syscall/cs", f.cs, flat_cs64);
    story::equal_hex("syscall/ss", f.ss, flat_ss);
    story::is("syscall/rsp is the program's", f.rsp == space->stack_top());
    story::equal_hex("syscall/rflags keep df", f.rflags & x86::rflags::df, x86::rflags::df);
    story::is("syscall/r11 is rflags", (f.r11 & 0xcd5) == (f.rflags & 0xcd5));
    story::equal_hex("syscall/if in the frame", f.rflags & x86::rflags::interrupts, x86::rflags::interrupts);
    story::equal("syscall/saved mask", f.saved_upcall_mask, 0);
    Frame next = f;
    next.rax = 0x1234;
    const Trap u = run_user(next);
    story::equal_hex("syscall/the answer arrives", u.frame.rbx, 0x1234);
    callback_unregister_t off{.type = CALLBACKTYPE_syscall, ._unused = 0};
    story::show("syscall/unregister", callback_op(CALLBACKOP_unregister, &off));
    install_traps();
}

void exceptions() {
    story::traps("trap/divide", trap_of(user_divide), divide_error);
    story::traps("trap/ud2", trap_of(user_ud), invalid_opcode);
    const Trap b = run(user_int3);
    story::equal("trap/int3", b.frame.vector, breakpoint);
    story::is("trap/int3's rip is behind it", b.frame.rip == at(user_int3) + 1);
    const Trap i = run(user_int80);
    story::equal_hex("trap/int 0x80", i.frame.vector, 0x80);
    story::is("trap/int 0x80's rip is behind it", i.frame.rip == at(user_int80) + 7);
    story::equal("trap/int 0x80's rax", static_cast<i64>(i.frame.rax), 5);
    story::equal_hex("trap/cs has level 3", i.frame.cs, flat_cs64);
    story::show_trap("trap/int 4", trap_of(user_int4));
    story::show_trap("trap/int 0x21", trap_of(user_int21));
    story::show_trap("trap/int 14", trap_of(user_int0e));
    const Trap s = run(user_step);
    story::equal("trap/single step", s.frame.vector, debug);
    story::is("trap/single step's rip", s.frame.rip == at(stepped));
    story::show_trap("trap/sysenter", trap_of(user_sysenter));
}

void memory() {
    const auto t = trap_of(user_read, 0x1000);
    story::traps("memory/not mapped", t, page_fault, 4);
    story::equal_hex("memory/cr2", t->cr2, 0x1000);
    story::traps("memory/write", trap_of(user_write, 0x1000), page_fault, 6);
    story::traps("memory/write to its text", trap_of(user_write, at(user_read)), page_fault, 7);
    story::traps("memory/jump to nowhere", trap_of(user_jump, 0x5000), page_fault, 0x14);
    story::traps("memory/jump to its stack", trap_of(user_jump, space->stack_top() - 64), page_fault, 0x15);
    // A user root without the kernel's half: nothing of the kernel is there.
    story::traps("memory/kernel's memory", trap_of(user_read, linear_base + 0x100000), page_fault, 4);
    story::show_trap("memory/hypervisor's memory", trap_of(user_read, 0xffff830000000000));
    story::show_trap("memory/m2p", trap_of(user_read, m2p_base));
    story::traps("memory/not canonical", trap_of(user_read, 0x1234567812345678), general_protection, 0);
}

void privileged() {
    story::traps("privileged/hlt", trap_of(user_hlt), general_protection, 0);
    story::traps("privileged/cli", trap_of(user_cli), general_protection, 0);
    story::traps("privileged/in", trap_of(user_in), general_protection, 0);
    story::traps("privileged/rdmsr", trap_of(user_rdmsr), general_protection, 0);
    story::traps("privileged/cr0", trap_of(user_cr0), general_protection, 0);
    const Trap c = run(user_forced_cpuid);
    story::show_hex("privileged/forced cpuid", c.frame.vector);
    story::show_hex("privileged/forced cpuid's ebx", c.frame.rbx);
    story::show_hex("privileged/cpuid runs", run(user_cpuid).frame.vector);
    const Trap p = run(user_popf);
    story::equal_hex("privileged/popf leaves iopl and if", p.frame.rax & 0x3200, 0x200);
    physdev_set_iopl_t iopl{.iopl = 3};
    story::succeeds("privileged/set_iopl 3", call_physdev(PHYSDEVOP_set_iopl, &iopl));
    story::show_hex("privileged/in with iopl 3", run(user_in).frame.vector);
    story::show_hex("privileged/cli with iopl 3", run(user_cli).frame.vector);
    iopl.iopl = 1;
    story::succeeds("privileged/set_iopl 1", call_physdev(PHYSDEVOP_set_iopl, &iopl));
    story::traps("privileged/in with iopl 1", trap_of(user_in), general_protection, 0);
    static u8 bitmap[8192];
    std::memset(bitmap, 0xff, sizeof bitmap);
    bitmap[0x80 / 8] = 0xfe;
    physdev_set_iobitmap_t map{};
    set_xen_guest_handle_raw(map.bitmap, bitmap);
    map.nr_ports = 65536;
    story::succeeds("privileged/set_iobitmap", call_physdev(PHYSDEVOP_set_iobitmap, &map));
    story::show_hex("privileged/in by the bitmap", run(user_in).frame.vector);
    bitmap[0x80 / 8] = 0xff;
    story::traps("privileged/in without its bit", trap_of(user_in), general_protection, 0);
    map.nr_ports = 65537;
    story::answers("privileged/too many ports", call_physdev(PHYSDEVOP_set_iobitmap, &map), XEN_EINVAL);
    iopl.iopl = 4;
    story::answers("privileged/set_iopl 4", call_physdev(PHYSDEVOP_set_iopl, &iopl), XEN_EINVAL);
}

void segments() {
    static u64 words[2] = {0x55, 0x66};
    (void)words;
    story::succeeds("segments/gs base of user mode", set_segment_base(SEGBASE_GS_USER, space->stack_top() - 4096));
    const Trap t = run(user_segments);
    story::equal_hex("segments/cs", t.frame.rax & 0xffff, flat_cs64);
    story::equal_hex("segments/ss", t.frame.rbx & 0xffff, flat_ss);
    story::equal_hex("segments/ds", t.frame.r8 & 0xffff, 0);
    story::equal("segments/gs:0 is the program's stack", static_cast<i64>(t.frame.rdx), 0);
    story::is("segments/the kernel's gs base is back", &this_cpu() == &cpu_of(0));
    story::succeeds("segments/fs base", set_segment_base(SEGBASE_FS, space->stack_top() - 4096));
    story::equal_hex("segments/fs in user mode", run(user_fs).frame.vector, static_cast<u32>(Code::syscall));
    story::answers("segments/base not canonical", set_segment_base(SEGBASE_FS, 0x1234567812345678), XEN_EINVAL);
    story::answers("segments/gs base not canonical", set_segment_base(SEGBASE_GS_KERNEL, 0x8000000000000000), XEN_EINVAL);
    story::succeeds("segments/gs selector null", set_segment_base(SEGBASE_GS_USER_SEL, 0));
    story::show("segments/gs selector bad", set_segment_base(SEGBASE_GS_USER_SEL, 0x1003));
    story::answers("segments/no such base", set_segment_base(7, 0), XEN_EINVAL);
}

// The timer's events are taken in the middle of a program, which notices nothing.
void events_in_between() {
    const u64 before = this_cpu().events;
    const Trap t = run(user_spin, 100000000);
    story::equal_hex("events/the program came to its end", t.frame.vector, static_cast<u32>(Code::syscall));
    story::equal("events/its counter", static_cast<i64>(t.frame.rdi), 0);
    story::remark("events taken meanwhile: {}", this_cpu().events - before);
}

void bad_frames() {
    Frame f = space->frame(user_divide);
    f.rip = 0x1234567812345678;
    story::show_trap("frames/rip not canonical", run_user(f));
    f = space->frame(user_divide);
    f.cs = 0x1003;
    story::show_trap("frames/cs bad", run_user(f));
    f = space->frame(user_divide);
    f.ss = 0x1003;
    story::show_trap("frames/ss bad", run_user(f));
    f = space->frame(user_divide);
    f.rflags = ~u64{0} & ~x86::rflags::tf;
    story::show_trap("frames/all flags", run_user(f));
    story::show_hex("frames/flags that stay", f.rflags & 0x3fffff & ~u64{0x8d5});
}

}  // namespace

void kit::guest_main() {
    const auto made = UserSpace::create();
    if (!made) story::error("no user space");
    space = *made;
    system_calls();
    exceptions();
    memory();
    privileged();
    segments();
    events_in_between();
    bad_frames();
    story::succeeds("root/no user root", set_user_root(Mfn(0)));
    story::end();
}
