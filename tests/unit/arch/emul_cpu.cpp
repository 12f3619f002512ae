// SPDX-License-Identifier: MIT
#include "tests/unit/arch/emul_cpu.hpp"

#include <asm/prctl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "arch/x86/emul/registers.hpp"

// The switch between the test's registers and the instruction's. The names are global because the assembly uses them.
extern "C" {
xylem::Frame emul_test_state;
xylem::u64 emul_test_target;
xylem::u64 emul_test_host_rsp;
void emul_test_enter();
void emul_test_back();
}

asm(R"(
    .text
    .globl emul_test_enter
    .type emul_test_enter, @function
emul_test_enter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, emul_test_host_rsp(%rip)
    pushq emul_test_state+144(%rip)
    popfq
    mov emul_test_state+0(%rip), %r15
    mov emul_test_state+8(%rip), %r14
    mov emul_test_state+16(%rip), %r13
    mov emul_test_state+24(%rip), %r12
    mov emul_test_state+32(%rip), %rbp
    mov emul_test_state+40(%rip), %rbx
    mov emul_test_state+48(%rip), %r11
    mov emul_test_state+56(%rip), %r10
    mov emul_test_state+64(%rip), %r9
    mov emul_test_state+72(%rip), %r8
    mov emul_test_state+80(%rip), %rax
    mov emul_test_state+88(%rip), %rcx
    mov emul_test_state+96(%rip), %rdx
    mov emul_test_state+104(%rip), %rsi
    mov emul_test_state+112(%rip), %rdi
    mov emul_test_state+152(%rip), %rsp
    jmp *emul_test_target(%rip)
    .globl emul_test_back
    .type emul_test_back, @function
emul_test_back:
    mov %rsp, emul_test_state+152(%rip)
    mov emul_test_host_rsp(%rip), %rsp
    mov %r15, emul_test_state+0(%rip)
    mov %r14, emul_test_state+8(%rip)
    mov %r13, emul_test_state+16(%rip)
    mov %r12, emul_test_state+24(%rip)
    mov %rbp, emul_test_state+32(%rip)
    mov %rbx, emul_test_state+40(%rip)
    mov %r11, emul_test_state+48(%rip)
    mov %r10, emul_test_state+56(%rip)
    mov %r9, emul_test_state+64(%rip)
    mov %r8, emul_test_state+72(%rip)
    mov %rax, emul_test_state+80(%rip)
    mov %rcx, emul_test_state+88(%rip)
    mov %rdx, emul_test_state+96(%rip)
    mov %rsi, emul_test_state+104(%rip)
    mov %rdi, emul_test_state+112(%rip)
    pushfq
    popq emul_test_state+144(%rip)
    cld
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
)");

namespace xylem::emul_test {
namespace {

Trap g_trap;
bool g_running = false;

void on_signal(int signal, siginfo_t*, void* raw) {
    if (!g_running) abort();
    auto* context = static_cast<ucontext_t*>(raw);
    auto& registers = context->uc_mcontext.gregs;
    g_trap = {signal, static_cast<u64>(registers[REG_TRAPNO]), static_cast<u64>(registers[REG_CR2]),
              static_cast<u64>(registers[REG_ERR])};
    registers[REG_RIP] = reinterpret_cast<greg_t>(&emul_test_back);
}

void catch_traps() {
    static u8 stack[65536];
    stack_t alternative{};
    alternative.ss_sp = stack;
    alternative.ss_size = sizeof(stack);
    sigaltstack(&alternative, nullptr);
    struct sigaction action{};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (const int signal : {SIGSEGV, SIGILL, SIGBUS, SIGTRAP}) sigaction(signal, &action, nullptr);
}

void* map(u64 size, int protection, int flags) {
    void* at = mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (at == MAP_FAILED) abort();
    return at;
}

}  // namespace

Cpu& Cpu::get() {
    static Cpu cpu;
    return cpu;
}

Cpu::Cpu() {
    code_ = static_cast<u8*>(map(2 * page_size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_32BIT));
    mprotect(code_ + page_size, page_size, PROT_NONE);
    data_ = static_cast<u8*>(map(data_size, PROT_READ | PROT_WRITE, MAP_32BIT));
    reserved_ = static_cast<u8*>(map(reserved_size, PROT_NONE, MAP_NORESERVE));
}

u64 Cpu::code_address() const {
    return reinterpret_cast<u64>(code_);
}
u64 Cpu::page_end() const {
    return code_address() + page_size;
}
u64 Cpu::reserved_start() const {
    return reinterpret_cast<u64>(reserved_);
}

u64 Cpu::fs_base() const {
    u64 base = 0;
    syscall(SYS_arch_prctl, ARCH_GET_FS, &base);
    return base;
}
void Cpu::set_gs_base(u64 base) const {
    syscall(SYS_arch_prctl, ARCH_SET_GS, base);
}

Trap Cpu::run(std::span<const u8> instruction, Frame& frame) {
    // The instruction, then an indirect jump back, which changes neither registers nor flags.
    const u64 back = reinterpret_cast<u64>(&emul_test_back);
    const u8 jump[6] = {0xff, 0x25, 0, 0, 0, 0};
    std::memcpy(code_, instruction.data(), instruction.size());
    std::memcpy(code_ + instruction.size(), jump, sizeof(jump));
    std::memcpy(code_ + instruction.size() + sizeof(jump), &back, sizeof(back));
    const Trap trap = execute(code_address(), frame);
    frame.rip = code_address() + (trap.executed() ? instruction.size() : 0);
    return trap;
}

Trap Cpu::run_at_page_end(std::span<const u8> instruction, Frame& frame) {
    const u64 at = page_end() - instruction.size();
    std::memcpy(reinterpret_cast<void*>(at), instruction.data(), instruction.size());
    return execute(at, frame);
}

Trap Cpu::execute(u64 at, Frame& frame) {
    // Every time: a sanitizer or another test may have put its own handlers in place.
    catch_traps();
    emul_test_state = frame;
    emul_test_state.rflags = (frame.rflags & (emul::rflags::arithmetic | emul::rflags::direction)) | 0x202;
    emul_test_target = at;
    g_trap = {};
    g_running = true;
    emul_test_enter();
    g_running = false;
    const u64 rip = frame.rip;
    const u64 untouched = frame.rflags & ~(emul::rflags::arithmetic | emul::rflags::direction);
    const u64 changed = emul_test_state.rflags & (emul::rflags::arithmetic | emul::rflags::direction);
    frame = emul_test_state;
    frame.rip = rip;
    frame.rflags = untouched | changed;
    return g_trap;
}

}  // namespace xylem::emul_test
