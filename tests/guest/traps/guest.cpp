// SPDX-License-Identifier: MIT
// Every exception a kernel and its programs can raise: which vector, which error code, and every field of the frame
// [ABI 2.1, 2.2].
#include "guest/kit/calls.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/story.hpp"
#include "hw/x86/registers.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

using namespace x86::vector;

void from_kernel() {
    story::traps("kernel/divide", attempt([] {
                     asm volatile("xor %%eax, %%eax; xor %%edx, %%edx; div %%eax" ::: "eax", "edx");
                 }),
                 divide_error);
    story::traps("kernel/breakpoint", attempt([] { asm volatile("int3"); }), breakpoint);
    story::traps("kernel/ud2", attempt([] { asm volatile("ud2"); }), invalid_opcode);
    story::traps("kernel/null", attempt([] { asm volatile("mov 8, %%eax" ::: "eax"); }), page_fault, 0);
    story::traps("kernel/write to null", attempt([] { asm volatile("movl $1, 8" ::: "memory"); }), page_fault, 2);
    story::traps("kernel/write to text", attempt([] {
                     asm volatile("movl $1, 0xffffffff80101000" ::: "memory");
                 }),
                 page_fault, 3);
    // The error code tells whether the hypervisor has something there.
    story::show_trap("kernel/hypervisor's range", attempt([] { (void)*reinterpret_cast<volatile u64*>(0xffff830000000000); }));
    story::traps("kernel/not canonical", attempt([] { (void)*reinterpret_cast<volatile u64*>(0x1234567812345678); }),
                 general_protection, 0);
    // #SS on hardware; QEMU 7.2 raises #GP.
    story::show_trap(
        "kernel/stack not canonical", attempt([] {
            asm volatile("mov %%rbp, %%rdx; mov %%rax, %%rbp; mov (%%rbp), %%rax; mov %%rdx, %%rbp" ::"a"(0x1234567812345678)
                         : "rdx");
        }));
    story::traps("kernel/hlt", attempt([] { asm volatile("hlt"); }), general_protection, 0);
    story::traps("kernel/lidt", attempt([] {
                     u8 d[10] = {};
                     asm volatile("lidt %0" ::"m"(d));
                 }),
                 general_protection, 0);
    story::traps("kernel/lgdt", attempt([] {
                     u8 d[10] = {};
                     asm volatile("lgdt %0" ::"m"(d));
                 }),
                 general_protection, 0);
    story::traps("kernel/ltr", attempt([] { asm volatile("ltr %%ax" ::"a"(0xe040)); }), general_protection, 0);
    story::traps("kernel/swapgs", attempt([] { asm volatile("swapgs"); }), general_protection, 0);
    story::traps("kernel/invlpg", attempt([] { asm volatile("invlpg (%%rax)" ::"a"(0)); }), general_protection, 0);
    story::traps("kernel/sysret", attempt([] { asm volatile("sysretq" ::: "rcx"); }), general_protection, 0);
    story::traps("kernel/bad selector", attempt([] { asm volatile("mov %%ax, %%es" ::"a"(0x1003)); }), general_protection,
                 0x1000);
    story::traps("kernel/null stack selector", attempt([] { asm volatile("mov %%ax, %%ss" ::"a"(0)); }), general_protection, 0);
    story::traps("kernel/hypervisor's code selector in es", attempt([] { asm volatile("mov %%ax, %%es" ::"a"(0xe008)); }),
                 general_protection, 0xe008);
}

// int n: a gate's level decides; the frame's rip is behind the instruction [ABI 2.1].
void software_interrupts() {
    story::traps("int/0x80 of the kernel", attempt([] { asm volatile("int $0x80"); }), 0x80);
    story::show_trap("int/4 of the kernel", attempt([] { asm volatile("int $4"); }));
    story::show_trap("int/0x21 of the kernel", attempt([] { asm volatile("int $0x21"); }));
    story::show_trap("int/0x0e of the kernel", attempt([] { asm volatile("int $14"); }));
    story::show_trap("int/0x02 of the kernel", attempt([] { asm volatile("int $2"); }));
    story::show_trap("int/0x82 of the kernel", attempt([] { asm volatile("int $0x82"); }));
    story::show_trap("int/0xff of the kernel", attempt([] { asm volatile("int $0xff"); }));
    story::show_trap("int/icebp", attempt([] { asm volatile(".byte 0xf1"); }));
}

[[gnu::noinline]] std::optional<Trap> marked_trap(u64 pattern) {
    return attempt([=] {
        asm volatile(
            "mov $0x1111, %%rbx; mov $0x2222, %%rcx; mov $0x3333, %%rdx; mov $0x4444, %%rsi; mov $0x5555, %%rdi;"
            "mov $0x8888, %%r8; mov $0x9999, %%r9; mov $0xaaaa, %%r10; mov $0xbbbb, %%r11; mov $0xcccc, %%r12; mov $0xdddd, "
            "%%r13;"
            "mov $0xeeee, %%r14; mov $0xffff, %%r15; std; stc; trap_here: ud2" ::"a"(pattern)
            : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory");
    });
}
extern "C" const char trap_here[];

void frame_of_the_kernel() {
    const auto t = marked_trap(0x123456789abcdef0);
    if (!t) story::error("ud2 does not trap");
    const Frame& f = t->frame;
    story::equal_hex("frame/rax", f.rax, 0x123456789abcdef0);
    story::is("frame/other registers", f.rbx == 0x1111 && f.rcx == 0x2222 && f.rdx == 0x3333 && f.rsi == 0x4444 &&
                                           f.rdi == 0x5555 && f.r8 == 0x8888 && f.r9 == 0x9999 && f.r10 == 0xaaaa &&
                                           f.r11 == 0xbbbb && f.r12 == 0xcccc && f.r13 == 0xdddd && f.r14 == 0xeeee &&
                                           f.r15 == 0xffff);
    story::is("frame/rip is the instruction's", f.rip == word(trap_here));
    story::equal_hex("frame/cs has level 0", f.cs, flat_cs64 & ~3u);
    story::equal_hex("frame/ss", f.ss, flat_ss);
    story::equal_hex("frame/rflags with events masked", f.rflags & 0x3fffff & ~u64{0xd4}, x86::rflags::df | x86::rflags::cf | 2);
    story::equal("frame/saved mask with events masked", f.saved_upcall_mask, 1);
    unmask_events();
    const auto u = marked_trap(1);
    const bool masked_now = events_masked();
    mask_events();
    story::equal_hex("frame/rflags with events open", u->frame.rflags & 0x3fffff & ~u64{0xd4},
                     x86::rflags::df | x86::rflags::cf | x86::rflags::interrupts | 2);
    story::equal("frame/saved mask with events open", u->frame.saved_upcall_mask, 0);
    story::is("frame/the return opens the mask again", !masked_now);
    story::equal("frame/upper half of cs word", f.cs_padding, 0);
}

// A handler sees the processor as the hypervisor leaves it.
u64 seen_rflags, seen_mask, seen_rsp;
bool look(Frame& f) {
    asm volatile("pushf; pop %0" : "=r"(seen_rflags));
    seen_mask = events_masked() ? 1 : 0;
    seen_rsp = word(&f);
    f.rip += 2;
    return true;
}
void state_in_handlers() {
    set_trap_handler(invalid_opcode, look);
    unmask_events();
    asm volatile("ud2");
    story::equal("handler/events are masked by the table's flag", static_cast<i64>(seen_mask), 1);
    story::is("handler/interrupts of the machine stay on", (seen_rflags & x86::rflags::interrupts) != 0);
    story::equal_hex("handler/tf nt ac of rflags", seen_rflags & (x86::rflags::tf | x86::rflags::nt | x86::rflags::ac), 0);
    story::equal("handler/frame's end is aligned to 16", (seen_rsp + sizeof(Frame)) & 15, 0);
    asm volatile("pushf; orl $0x4000, (%%rsp); popf; ud2; pushf; andl $~0x4000, (%%rsp); popf" ::: "cc", "memory");
    story::equal_hex("handler/nt was set", seen_rflags & x86::rflags::nt, 0);
    asm volatile("pushf; orl $0x40000, (%%rsp); popf; ud2; pushf; andl $~0x40000, (%%rsp); popf" ::: "cc", "memory");
    story::equal_hex("handler/ac was set", seen_rflags & x86::rflags::ac, 0);
    // A table without the flag leaves the mask as it was.
    static trap_info_t open[2];
    open[0] = trap_table()[invalid_opcode];
    open[0].flags = 0;
    story::succeeds("handler/set_trap_table of one entry", set_trap_table(open));
    asm volatile("ud2");
    story::equal("handler/events stay open without the flag", static_cast<i64>(seen_mask), 0);
    open[0].flags = 4;
    set_trap_table(open);
    mask_events();
    set_trap_handler(invalid_opcode, nullptr);
}

unsigned debug_traps;
u64 debug_rip, debug_flags;
bool on_debug(Frame& f) {
    ++debug_traps;
    debug_rip = f.rip;
    debug_flags = f.rflags;
    f.rflags &= ~x86::rflags::tf;
    return true;
}
extern "C" const char after_step[];
void single_step() {
    set_trap_handler(debug, on_debug);
    asm volatile("pushf; orl $0x100, (%%rsp); popf; nop; .globl after_step; after_step: nop" ::: "cc", "memory");
    story::equal("step/traps", debug_traps, 1);
    story::is("step/rip is the next instruction's", debug_rip == word(after_step));
    story::is("step/rflags in the frame have tf", (debug_flags & x86::rflags::tf) != 0);
    story::equal_hex("step/dr6", get_debugreg(6), 0xffff4ff0);
    static volatile u32 watched;
    story::succeeds("watch/dr0", set_debugreg(0, word(&watched)));
    story::succeeds("watch/dr6", set_debugreg(6, 0));
    story::succeeds("watch/dr7", set_debugreg(7, 0xd0001 | 0x300));
    debug_traps = 0;
    watched = 5;
    story::equal("watch/traps", debug_traps, 1);
    story::equal_hex("watch/dr6 names the breakpoint", get_debugreg(6), 0xffff0ff1);
    set_debugreg(7, 0);
    story::equal_hex("watch/dr7 reads back", get_debugreg(7), 0x400);
    set_trap_handler(debug, nullptr);
}

// SSE and x87 errors need the unmasked exceptions of the FPU.
void arithmetic() {
    story::traps("fpu/x87", attempt([] {
                     u16 control = 0x37f & ~4;  // zero divide
                     asm volatile("fninit; fldcw %0; fld1; fldz; fdivrp; fwait" ::"m"(control));
                 }),
                 x87);
    asm volatile("fninit");
    story::show_trap(
        "fpu/simd", attempt([] {
            u32 csr = 0x1f80 & ~0x200u;
            asm volatile(
                "ldmxcsr %0; xorps %%xmm0, %%xmm0; movl $0x3f800000, %%eax; movd %%eax, %%xmm1; divss %%xmm0, %%xmm1" ::"m"(csr)
                : "eax");
        }));  // QEMU does not raise it
    u32 csr = 0x1f80;
    asm volatile("ldmxcsr %0" ::"m"(csr));
    story::succeeds("fpu/taskswitch set", fpu_taskswitch(true));
    story::traps("fpu/no device after taskswitch", attempt([] { asm volatile("fninit"); }), no_device);
    story::runs("fpu/the trap cleared it", attempt([] { asm volatile("fninit"); }));
}

void alignment_check() {
    // Level 3 and rflags.AC: needs CR0.AM, which is the hypervisor's choice for all.
    static u64 words[4];
    story::show_trap(
        "alignment/kernel", attempt([] {
            asm volatile("pushf; orl $0x40000, (%%rsp); popf; mov 1(%0), %%eax" ::"r"(words) : "eax", "cc", "memory");
        }));  // QEMU 7.2 does not raise it
    asm volatile("pushf; andl $~0x40000, (%%rsp); popf" ::: "cc", "memory");
}

void page_fault_address() {
    const auto t = attempt([] { (void)*reinterpret_cast<volatile u8*>(0x12345678); });
    story::equal_hex("cr2/of the kernel", t->cr2, 0x12345678);
    const auto x = attempt([] { reinterpret_cast<void (*)()>(0x5000)(); });
    story::equal_hex("cr2/jump", x->cr2, 0x5000);
    story::equal_hex("cr2/rip of the jump", x->frame.rip, 0x5000);
    story::show_trap("cr2/error of the jump", x);
    // NX: a page of data.
    void* const page = allocate_pages();
    const auto nx = attempt([=] { reinterpret_cast<void (*)()>(page)(); });
    story::traps("cr2/execution of data", nx, page_fault, 0x11);
}

void tables_of_traps() {
    static trap_info_t t[3];
    t[0] = {.vector = 6, .flags = 0, .cs = flat_cs64, .address = 0x1234567812345678};
    story::show("table/address not canonical", set_trap_table(t));
    t[0] = {.vector = 6, .flags = 0, .cs = flat_cs64, .address = 0xffff830000000000};
    story::show("table/address in the hypervisor", set_trap_table(t));
    story::show("table/bad pointer", set_trap_table(reinterpret_cast<trap_info_t*>(0x1000)));
    story::show("table/pointer into the hypervisor", set_trap_table(reinterpret_cast<trap_info_t*>(0xffff830000000000)));
    story::succeeds("table/null clears it", set_trap_table(nullptr));
    story::succeeds("table/whole table again", set_trap_table(trap_table()));
    story::traps("table/it works", attempt([] { asm volatile("ud2"); }), invalid_opcode);
}

void nmi_to_self() {
    static unsigned count;
    count = 0;
    set_trap_handler(nmi, [](Frame&) {
        ++count;
        return true;
    });
    story::succeeds("nmi/send to self", vcpu_op(VCPUOP_send_nmi, 0));
    story::equal("nmi/taken", count, 1);
    story::succeeds("nmi/send again", vcpu_op(VCPUOP_send_nmi, 0));
    story::equal("nmi/taken again: iret ended the first", count, 2);
    story::answers("nmi/to no vCPU", vcpu_op(VCPUOP_send_nmi, 31), XEN_ENOENT);
    set_trap_handler(nmi, nullptr);
}

// One that comes while the handler runs waits for its end; a hypervisor that forgets to let the guest run meanwhile hangs here.
void nested_nmi() {
    static unsigned count;
    set_trap_handler(nmi, [](Frame&) {
        if (count++ == 0) story::succeeds("nmi/one inside the handler", vcpu_op(VCPUOP_send_nmi, 0));
        return true;
    });
    story::succeeds("nmi/send", vcpu_op(VCPUOP_send_nmi, 0));
    story::equal("nmi/the second waited for the handler's end", count, 2);
    set_trap_handler(nmi, nullptr);
}

}  // namespace

void kit::guest_main() {
    if (option("nmi") == "nested") {
        nested_nmi();
        story::end();
        return;
    }
    from_kernel();
    software_interrupts();
    frame_of_the_kernel();
    state_in_handlers();
    single_step();
    arithmetic();
    alignment_check();
    page_fault_address();
    tables_of_traps();
    nmi_to_self();
    story::end();
}
