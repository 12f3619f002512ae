// SPDX-License-Identifier: MIT
#include "arch/x86/smp/smap_test.hpp"

#include <array>

#include "arch/x86/domain/per_cpu.hpp"
#include "arch/x86/entry/setup.hpp"
#include "arch/x86/mm/hypervisor_tables.hpp"
#include "cpu/instructions.hpp"
#include "cpu/layout.hpp"
#include "hw/x86/registers.hpp"

extern "C" xylem::u64 smap_test_run(xylem::u64 entry, xylem::u64 stack);
extern "C" void smap_test_page_fault();
extern "C" void smap_test_invalid_opcode();
extern "C" void smap_test_other();

namespace xylem {
namespace {

constexpr u16 code = 0x08, user_data = 0x1b, user_code = 0x23, task = 0x28;
constexpr u64 user_va = u64{1} << 39;  // PML4 slot 1, which nothing uses

// Everything the test needs, in the image's zeroed memory.
struct Stage {
    alignas(page_size) u64 tables[3][512];
    alignas(page_size) u8 page[page_size];
    u64 idt[32][2];
    u64 gdt[8];
    TaskState tss;
    alignas(16) u8 stack[1024];  // where ring 3 faults to
};
constinit Stage stage{};

u64 machine(const void* p) {
    return reinterpret_cast<u64>(p) - layout::image_start;
}

void map_page() {
    constexpr u64 flags = pte::present | pte::writable | pte::user | pte::accessed | pte::dirty;
    stage.tables[0][0] = machine(stage.tables[1]) | flags;
    stage.tables[1][0] = machine(stage.tables[2]) | flags;
    stage.tables[2][0] = machine(stage.page) | flags;
    hypervisor_l4[1] = machine(stage.tables[0]) | flags;
}

void set_gate(unsigned vector, void (*target)()) {
    const u64 va = reinterpret_cast<u64>(target);
    stage.idt[vector][0] = (va & 0xffff) | u64{code} << 16 | u64{0x8e00} << 32 | (va >> 16 & 0xffff) << 48;
    stage.idt[vector][1] = va >> 32;
}

void load_descriptors() {
    stage.gdt[code / 8] = 0x00af'9b00'0000'ffff;
    stage.gdt[user_data / 8] = 0x00cf'f300'0000'ffff;
    stage.gdt[user_code / 8] = 0x00af'fb00'0000'ffff;
    const u64 base = reinterpret_cast<u64>(&stage.tss);
    stage.gdt[task / 8] = (sizeof(TaskState) - 1) | (base & 0xff'ffff) << 16 | u64{0x89} << 40 | (base >> 24 & 0xff) << 56;
    stage.gdt[task / 8 + 1] = base >> 32;
    stage.tss.rsp[0] = reinterpret_cast<u64>(stage.stack) + sizeof stage.stack;
    for (unsigned vector = 0; vector < 32; ++vector) set_gate(vector, smap_test_other);
    set_gate(x86::vector::invalid_opcode, smap_test_invalid_opcode);
    set_gate(x86::vector::page_fault, smap_test_page_fault);
    cpu::lgdt({sizeof stage.gdt - 1, reinterpret_cast<u64>(stage.gdt)});
    cpu::ltr(task);
    cpu::lidt({sizeof stage.idt - 1, reinterpret_cast<u64>(stage.idt)});
}

// In ring 3: iretq to the next line, which has an invalid opcode.
void write_page() {
    constexpr u64 frame = 2048;
    constexpr u64 target = 16;
    constexpr std::array<u8, 2> iretq{0x48, 0xcf};
    constexpr std::array<u8, 2> ud2{0x0f, 0x0b};
    stage.page[0] = iretq[0];
    stage.page[1] = iretq[1];
    stage.page[target] = ud2[0];
    stage.page[target + 1] = ud2[1];
    u64* stack = reinterpret_cast<u64*>(stage.page + frame);
    stack[0] = user_va + target;
    stack[1] = user_code;
    stack[2] = x86::rflags::always_one;
    stack[3] = user_va + frame;
    stack[4] = user_data;
}

}  // namespace

bool smap_lets_guests_iret() {
    constexpr u64 frame = 2048;
    map_page();
    write_page();
    load_descriptors();
    const u64 cr4 = cpu::read_cr4();
    cpu::write_cr4(cr4 | x86::cr4::smap);
    const u64 vector = smap_test_run(user_va, user_va + frame);
    cpu::write_cr4(cr4);
    hypervisor_l4[1] = 0;
    cpu::write_cr3(cpu::read_cr3());
    load_early_descriptors();
    return vector == x86::vector::invalid_opcode;
}

}  // namespace xylem
