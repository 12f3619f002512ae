// SPDX-License-Identifier: MIT
#include "arch/x86/entry/setup.hpp"

#include <new>

#include "arch/x86/domain/arch_vcpu.hpp"
#include "arch/x86/domain/features.hpp"
#include "arch/x86/mm/hypervisor_tables.hpp"
#include "arch/x86/mm/stacks.hpp"
#include "base/panic.hpp"
#include "core/mem/heap.hpp"
#include "cpu/instructions.hpp"
#include "cpu/layout.hpp"
#include "hw/x86/registers.hpp"

extern "C" void vector_stubs();
extern "C" void nmi_stub();
extern "C" void debug_stub();
extern "C" void double_fault_stub();
extern "C" void machine_check_stub();
extern "C" void syscall_entry();
extern "C" void syscall32_entry();
extern "C" char boot_gdt[];

namespace xylem {
namespace {

struct Gate {
    u64 low = 0, high = 0;
};

constinit std::array<PerCpu*, max_cpus> cpus{};
alignas(page_size) constinit Gate idt[256]{};

// The syscall stubs: code a CPU enters with the guest's stack pointer still loaded. Code page and data page are one VA apart,
// so that the code finds its CPU's data relative to rip.
struct StubData {
    u64 guest_rsp;
    u64 entry_stack;
    u64 unused[2];
};
constexpr u64 stub_bytes = 32;
constinit u8* stub_code = nullptr;  // writable view (direct map)
constinit u64 stub_code_va = 0;     // executable view
constinit StubData* stub_data = nullptr;

Gate make_gate(void (*target)(), unsigned ist, unsigned dpl) {
    const u64 va = reinterpret_cast<u64>(target);
    return {(va & 0xffff) | (u64{HYPERVISOR_CS} << 16) | (u64{ist} << 32) | (u64{0x8e00} << 32) | (u64{dpl} << 45) |
                ((va >> 16 & 0xffff) << 48),
            va >> 32};
}

// Without stacks of their own for NMI and its like until the CPU has a task state.
void build_idt(bool own_stacks) {
    const u64 base = reinterpret_cast<u64>(&vector_stubs);
    for (unsigned v = 0; v < 256; ++v) {
        const bool from_guest = v == x86::vector::breakpoint || v == x86::vector::overflow || v == 0x80;
        idt[v] = make_gate(reinterpret_cast<void (*)()>(base + v * 16), 0, from_guest ? 3 : 0);
    }
    if (!own_stacks) return;
    idt[x86::vector::debug] = make_gate(debug_stub, 4, 0);
    idt[x86::vector::nmi] = make_gate(nmi_stub, 1, 0);
    idt[x86::vector::double_fault] = make_gate(double_fault_stub, 2, 0);
    idt[x86::vector::machine_check] = make_gate(machine_check_stub, 3, 0);
}

// rel32 from the end of an instruction at `at` of `length` bytes.
u32 relative(u64 target, u64 at, unsigned length) {
    return static_cast<u32>(target - (at + length));
}

void put32(u8*& p, u32 v) {
    for (unsigned i = 0; i < 4; ++i) *p++ = static_cast<u8>(v >> (8 * i));
}

// mov %rsp, guest_rsp(%rip); mov entry_stack(%rip), %rsp; push $GUEST_DS; push guest_rsp(%rip); jmp syscall_entry
// `index`: one stub for 64-bit code, one for 32-bit code.
void write_stub(PerCpu& cpu, unsigned index, void (*target)()) {
    const u64 offset = (2 * cpu.id.raw + index) * stub_bytes;
    const u64 va = stub_code_va + offset;
    const StubData* data = stub_data + cpu.id.raw;
    const u64 rsp_slot = reinterpret_cast<u64>(&data->guest_rsp);
    const u64 stack_slot = reinterpret_cast<u64>(&data->entry_stack);
    u8* p = stub_code + offset;
    const auto here = [&] { return va + static_cast<u64>(p - (stub_code + offset)); };
    const auto emit = [&](std::initializer_list<u8> bytes) {
        for (u8 b : bytes) *p++ = b;
    };
    u64 at = here();
    emit({0x48, 0x89, 0x25});
    put32(p, relative(rsp_slot, at, 7));
    at = here();
    emit({0x48, 0x8b, 0x25});
    put32(p, relative(stack_slot, at, 7));
    emit({0x68});
    put32(p, GUEST_DS);
    at = here();
    emit({0xff, 0x35});
    put32(p, relative(rsp_slot, at, 6));
    at = here();
    emit({0xe9});
    put32(p, relative(reinterpret_cast<u64>(target), at, 5));
}

void make_stub_pages() {
    // Two neighbouring windows: executable code, then data. All CPUs share the pages.
    constexpr u64 code_bytes = 2 * max_cpus * stub_bytes;
    constexpr u64 data_bytes = max_cpus * sizeof(StubData);
    stub_code = static_cast<u8*>(heap_allocate(code_bytes));
    auto* data = static_cast<u8*>(heap_allocate(data_bytes));
    if (stub_code == nullptr || data == nullptr) panic("not enough memory for system-call entry");
    stub_code_va = layout::image_start + 32 * mib;
    const u64 data_va = stub_code_va + code_bytes;
    if (!map_range(stub_code_va, layout::maddr_of_direct(stub_code), code_bytes, pte::code) ||
        !map_range(data_va, layout::maddr_of_direct(data), data_bytes, pte::read_write))
        panic("not enough memory for system-call entry");
    stub_data = reinterpret_cast<StubData*>(data_va);
}

u64 ist_stack(PerCpu& cpu) {
    void* block = allocate_stack();
    if (block == nullptr) panic("not enough memory for CPU {}'s stacks", cpu.id);
    auto* top = reinterpret_cast<ArchVcpu*>(static_cast<u8*>(block) + STACK_BYTES - ARCH_VCPU_BYTES);
    ::new (top) ArchVcpu;
    top->cpu = &cpu;
    return reinterpret_cast<u64>(&top->guest) + sizeof(Frame);
}

void set_descriptors(PerCpu& cpu) {
    u64* g = cpu.gdt_page;
    g[HYPERVISOR_CS / 8 - 7168] = 0x00af'9b00'0000'ffff;
    g[HYPERVISOR_DS / 8 - 7168] = 0x00cf'9300'0000'ffff;
    g[GUEST_CS32 / 8 - 7168] = 0x00cf'fb00'0000'ffff;
    g[GUEST_DS / 8 - 7168] = 0x00cf'f300'0000'ffff;
    g[GUEST_CS64 / 8 - 7168] = 0x00af'fb00'0000'ffff;
    const u64 base = reinterpret_cast<u64>(&cpu.tss);
    g[TSS_SELECTOR / 8 - 7168] =
        (sizeof(TaskState) - 1) | ((base & 0xff'ffff) << 16) | (u64{0x89} << 40) | ((base >> 24 & 0xff) << 56);
    g[TSS_SELECTOR / 8 - 7168 + 1] = base >> 32;
}

}  // namespace

PerCpu* cpu_by_id(CpuId id) {
    return id.raw < max_cpus ? cpus[id.raw] : nullptr;
}
void register_cpu(PerCpu& cpu) {
    cpus[cpu.id.raw] = &cpu;
}

void load_early_descriptors() {
    build_idt(false);
    // head.S's descriptors as if they were the hypervisor's part of a whole table: same order, same selectors.
    cpu::lgdt({0xffff, reinterpret_cast<u64>(boot_gdt) - (HYPERVISOR_CS - 8)});
    cpu::lidt({sizeof idt - 1, reinterpret_cast<u64>(idt)});
    cpu::reload_segments();
}

void prepare_cpu(PerCpu& cpu) {
    if (stub_data == nullptr) {
        build_idt(true);
        make_stub_pages();
    }
    cpu.gdt_page = static_cast<u64*>(heap_allocate(page_size));
    if (cpu.gdt_page == nullptr) panic("not enough memory for CPU {}'s descriptor table", cpu.id);
    cpu.gdt_page_mfn = mfn_of(layout::maddr_of_direct(cpu.gdt_page)).raw;
    set_descriptors(cpu);
    for (unsigned i = 0; i < 4; ++i) cpu.tss.ist[i] = ist_stack(cpu);
    write_stub(cpu, 0, syscall_entry);
    write_stub(cpu, 1, syscall32_entry);
}

void set_entry_stack(PerCpu& cpu, ArchVcpu& on_top) {
    const u64 end = reinterpret_cast<u64>(&on_top.guest) + sizeof(Frame);
    cpu.tss.rsp[0] = end;
    stub_data[cpu.id.raw].entry_stack = end;
}

void load_idle_descriptors(PerCpu& cpu) {
    // The CPU's own page as if it were the last of a whole table.
    cpu::lgdt({0xffff, reinterpret_cast<u64>(cpu.gdt_page) - 14 * page_size});
    cpu::lldt(0);
}

void load_cpu(PerCpu& cpu) {
    load_idle_descriptors(cpu);
    cpu.gdt_page[TSS_SELECTOR / 8 - 7168] &= ~(u64{2} << 40);  // not busy
    cpu::ltr(TSS_SELECTOR);
    cpu::lidt({sizeof idt - 1, reinterpret_cast<u64>(idt)});
    cpu::reload_segments();

    cpu::write_cr0(x86::cr0::pe | x86::cr0::mp | x86::cr0::et | x86::cr0::ne | x86::cr0::wp | x86::cr0::am | x86::cr0::pg);
    cpu::write_cr4(features().host_cr4);
    cpu::wrmsr(x86::msr::pat, x86::pat_value);
    cpu::wrmsr(x86::msr::efer, cpu::rdmsr(x86::msr::efer) | x86::efer::sce | x86::efer::nxe);
    cpu::wrmsr(x86::msr::star, (u64{GUEST_CS32} << 48) | (u64{HYPERVISOR_CS} << 32));
    const u64 entry = stub_code_va + 2 * cpu.id.raw * stub_bytes;
    cpu::wrmsr(x86::msr::lstar, entry);
    cpu::wrmsr(x86::msr::cstar, entry + stub_bytes);
    cpu::wrmsr(x86::msr::fmask, x86::rflags::interrupts | x86::rflags::tf | x86::rflags::df | x86::rflags::nt | x86::rflags::ac |
                                    x86::rflags::iopl | x86::rflags::vm | x86::rflags::rf);
    if (features().has_xsave) cpu::xsetbv(0, features().xcr0);
}

ArchVcpu* make_arch_vcpu(Vcpu& v) {
    void* block = allocate_stack();
    if (block == nullptr) return nullptr;
    auto* arch = reinterpret_cast<ArchVcpu*>(static_cast<u8*>(block) + STACK_BYTES - ARCH_VCPU_BYTES);
    ::new (arch) ArchVcpu;
    arch->vcpu = &v;
    v.arch = arch;
    return arch;
}

}  // namespace xylem
