// SPDX-License-Identifier: MIT
#include "guest/kit/traps.hpp"

#include <cstring>

#include "base/panic.hpp"
#include "guest/kit/calls.hpp"
#include "guest/kit/console.hpp"
#include "guest/kit/segments.hpp"
#include "hw/x86/registers.hpp"

extern "C" {
extern const xylem::u16 kit_failsafe_selectors[4];
extern const char kit_stubs[], kit_event_entry[], kit_failsafe_entry[], kit_syscall_entry[], kit_syscall32_entry[],
    kit_sysenter_entry[], kit_nmi_entry[], kit_try_landing[], kit_image_begin[], kit_data_begin[];
[[noreturn]] void kit_resume(const xylem::kit::Frame*);
void kit_on_trap(xylem::kit::Frame*);
}

namespace xylem::kit {
namespace {

static_assert(offsetof(Frame, rip) == 16 * 8 && sizeof(Frame) == 21 * 8);
static_assert(offsetof(Frame, saved_upcall_mask) == offsetof(Frame, cs) + 4);
static_assert(__HYPERVISOR_iret == KIT_HYPERCALL_IRET && offsetof(Recovery, rsp) == 0);

constexpr unsigned vectors = 256;
constexpr u8 masks_events = 4;  // in trap_info_t::flags, above the two bits of the privilege level

trap_info_t table[vectors + 1];
TrapHandler handlers[vectors];
void (*on_upcall)(Cpu&);
FailsafeHandler on_failsafe;

constexpr const char* names[] = {"divide error",
                                 "debug",
                                 "NMI",
                                 "breakpoint",
                                 "overflow",
                                 "bounds",
                                 "invalid opcode",
                                 "no device",
                                 "double fault",
                                 "coprocessor overrun",
                                 "invalid TSS",
                                 "segment not present",
                                 "stack fault",
                                 "general protection",
                                 "page fault",
                                 "reserved",
                                 "x87 error",
                                 "alignment check",
                                 "machine check",
                                 "SIMD error"};

const char* name_of(u32 vector) {
    switch (static_cast<Code>(vector)) {
        case Code::event: return "event";
        case Code::syscall: return "syscall";
        case Code::syscall32: return "syscall in 32-bit mode";
        case Code::sysenter: return "sysenter";
        case Code::failsafe: return "failsafe callback";
    }
    return vector < std::size(names) ? names[vector] : "interrupt";
}

// Programs may use int3, into and int 0x80 from user mode.
bool open_to_users(u32 vector) {
    return vector == x86::vector::breakpoint || vector == x86::vector::overflow || vector == 0x80;
}

void fill_table() {
    for (u32 v = 0; v < vectors; ++v)
        table[v] = {.vector = static_cast<u8>(v),
                    .flags = static_cast<u8>(masks_events | (open_to_users(v) ? 3 : 0)),
                    .cs = flat_cs64,
                    .address = stub_of(v)};
}

void register_callback(u16 type, const char* entry, const char* name) {
    callback_register_t request{.type = type, .flags = CALLBACKF_mask_events, .address = word(entry)};
    if (const long r = callback_op(CALLBACKOP_register, &request); r != 0) print("callback_op: {} refused ({})", name, r);
}

// Returns to the place that waits for this trap, with the event mask as it was.
bool recover(Frame& f, u64 cr2) {
    Recovery* const r = this_cpu().recovery;
    if (r == nullptr) return false;
    r->trap = {f, cr2};
    f.rip = word(kit_try_landing);
    f.rsp = r->rsp;
    f.cs = flat_cs64 & ~3u;
    f.ss = flat_ss;
    f.rflags &= x86::rflags::interrupts;
    f.rflags |= x86::rflags::always_one;
    return true;
}

bool is_text(u64 address) {
    return address >= word(kit_image_begin) && address < word(kit_data_begin);
}

}  // namespace

u64 stub_of(u32 vector) {
    return word(kit_stubs) + vector * KIT_STUB_SIZE;
}

void set_trap_handler(u32 vector, TrapHandler handler) {
    XYLEM_BUG_ON(vector >= vectors);
    handlers[vector] = handler;
}
void set_upcall(void (*upcall)(Cpu&)) {
    on_upcall = upcall;
}

void set_failsafe_handler(FailsafeHandler handler) {
    on_failsafe = handler;
}

const trap_info_t* trap_table() {
    if (table[1].address == 0) fill_table();
    return table;
}

void install_traps() {
    if (const long r = set_trap_table(trap_table()); r != 0) panic("set_trap_table: {}", r);
    register_callback(CALLBACKTYPE_event, kit_event_entry, "event");
    register_callback(CALLBACKTYPE_failsafe, kit_failsafe_entry, "failsafe");
    register_callback(CALLBACKTYPE_syscall, kit_syscall_entry, "syscall");
    register_callback(CALLBACKTYPE_syscall32, kit_syscall32_entry, "syscall32");
}

void report(const Frame& f, std::string_view what) {
    print("{} at {:016x} ({} mode), error code {:#x}, vCPU {}", what, f.rip, f.from_user() ? "user" : "kernel", f.error,
          this_cpu().id);
    print("  cr2 {:016x}  cs {:04x}  ss {:04x}  rflags {:08x}  rsp {:016x}", this_cpu().info->arch.cr2, f.cs, f.ss, f.rflags,
          f.rsp);
    print("  rax {:016x}  rbx {:016x}  rcx {:016x}  rdx {:016x}", f.rax, f.rbx, f.rcx, f.rdx);
    print("  rsi {:016x}  rdi {:016x}  rbp {:016x}  r8  {:016x}", f.rsi, f.rdi, f.rbp, f.r8);
    print("  r9  {:016x}  r10 {:016x}  r11 {:016x}  r12 {:016x}", f.r9, f.r10, f.r11, f.r12);
    print("  r13 {:016x}  r14 {:016x}  r15 {:016x}", f.r13, f.r14, f.r15);
    if (f.from_user()) return;
    // Frame pointers lead from caller to caller; a bad one ends the list, not the report.
    u64 rbp = f.rbp;
    attempt([&] {
        for (int depth = 0; depth < 12 && (rbp & 7) == 0; ++depth) {
            const auto* link = reinterpret_cast<const u64*>(rbp);
            if (!is_text(link[1])) return;
            print("  called from {:016x}", link[1]);
            rbp = link[0];
        }
    });
}

Frame user_frame(u64 rip, u64 rsp) {
    Frame f{};
    f.rip = rip;
    f.rsp = rsp;
    f.cs = flat_cs64;
    f.ss = flat_ss;
    f.rflags = x86::rflags::interrupts;
    return f;
}

Trap run_user(Frame& frame) {
    Cpu& cpu = this_cpu();
    Recovery recovery{.rsp = 0, .trap = {}, .previous = cpu.recovery, .user = true};
    cpu.recovery = &recovery;
    // The copy lies on the stack: events on the way push their frames below it.
    const auto enter = [](void* p) {
        Frame copy = *static_cast<const Frame*>(p);
        kit_resume(&copy);
    };
    kit_try(enter, &frame, &recovery);
    cpu.recovery = recovery.previous;
    frame = recovery.trap.frame;
    return recovery.trap;
}

}  // namespace xylem::kit

void kit_on_trap(xylem::kit::Frame* frame) {
    using namespace xylem;
    using namespace xylem::kit;
    Cpu& cpu = this_cpu();
    const u64 cr2 = cpu.info->arch.cr2;
    if (frame->vector == static_cast<u32>(Code::event)) {
        ++cpu.events;
        if (on_upcall != nullptr) {
            on_upcall(cpu);
        } else {
            cpu.info->evtchn_upcall_pending = 0;
        }
        return;
    }
    if (frame->vector == static_cast<u32>(Code::failsafe) && on_failsafe != nullptr) {
        on_failsafe(*frame, kit_failsafe_selectors);
        return;
    }
    if (frame->from_user() && cpu.recovery != nullptr && cpu.recovery->user && recover(*frame, cr2)) return;
    if (frame->vector < vectors && handlers[frame->vector] != nullptr && handlers[frame->vector](*frame)) return;
    if (recover(*frame, cr2)) return;
    report(*frame, name_of(frame->vector));
    shut_down(Shutdown::crash);
}
