// SPDX-License-Identifier: MIT
// Every store the emulator knows against the processor of the host, on random operands and addressing forms.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "arch/x86/emul/store.hpp"
#include "tests/unit/arch/emul_cpu.hpp"

namespace xylem::emul_test {
namespace {

using emul::AddressContext;
using emul::CodeMode;
using emul::DecodeError;
using emul::FetchWindow;
using emul::StoreOp;

enum class Immediate { none, byte, full, address };

// An instruction of the manual; written down here again so that the emulator's own table is not its judge.
struct Form {
    const char* name;
    std::vector<u8> opcode;
    int operation;  // fixed ModRM.reg, -1: a register, -2: no ModRM byte
    Immediate immediate;
    bool lockable;
    bool bit_offset = false;
};

std::vector<Form> make_forms() {
    std::vector<Form> forms;
    const char* alu[] = {"add", "or", "adc", "sbb", "and", "sub", "xor"};
    for (u8 i = 0; i < 7; ++i) {
        forms.push_back({alu[i], {static_cast<u8>(i * 8)}, -1, Immediate::none, true});
        forms.push_back({alu[i], {static_cast<u8>(i * 8 + 1)}, -1, Immediate::none, true});
        forms.push_back({alu[i], {0x80}, i, Immediate::byte, true});
        forms.push_back({alu[i], {0x81}, i, Immediate::full, true});
        forms.push_back({alu[i], {0x83}, i, Immediate::byte, true});
    }
    const Form others[] = {
        {"xchg8", {0x86}, -1, Immediate::none, true},
        {"xchg", {0x87}, -1, Immediate::none, true},
        {"mov8", {0x88}, -1, Immediate::none, false},
        {"mov", {0x89}, -1, Immediate::none, false},
        {"mov8 moffs", {0xa2}, -2, Immediate::address, false},
        {"mov moffs", {0xa3}, -2, Immediate::address, false},
        {"stos8", {0xaa}, -2, Immediate::none, false},
        {"stos", {0xab}, -2, Immediate::none, false},
        {"mov8 imm", {0xc6}, 0, Immediate::byte, false},
        {"mov imm", {0xc7}, 0, Immediate::full, false},
        {"not8", {0xf6}, 2, Immediate::none, true},
        {"neg8", {0xf6}, 3, Immediate::none, true},
        {"not", {0xf7}, 2, Immediate::none, true},
        {"neg", {0xf7}, 3, Immediate::none, true},
        {"inc8", {0xfe}, 0, Immediate::none, true},
        {"dec8", {0xfe}, 1, Immediate::none, true},
        {"inc", {0xff}, 0, Immediate::none, true},
        {"dec", {0xff}, 1, Immediate::none, true},
        {"bts", {0x0f, 0xab}, -1, Immediate::none, true, true},
        {"btr", {0x0f, 0xb3}, -1, Immediate::none, true, true},
        {"btc", {0x0f, 0xbb}, -1, Immediate::none, true, true},
        {"bts imm", {0x0f, 0xba}, 5, Immediate::byte, true},
        {"btr imm", {0x0f, 0xba}, 6, Immediate::byte, true},
        {"btc imm", {0x0f, 0xba}, 7, Immediate::byte, true},
        {"cmpxchg8", {0x0f, 0xb0}, -1, Immediate::none, true},
        {"cmpxchg", {0x0f, 0xb1}, -1, Immediate::none, true},
        {"xadd8", {0x0f, 0xc0}, -1, Immediate::none, true},
        {"xadd", {0x0f, 0xc1}, -1, Immediate::none, true},
        {"movnti", {0x0f, 0xc3}, -1, Immediate::none, false},
        {"cmpxchg8b", {0x0f, 0xc7}, 1, Immediate::none, true},
    };
    forms.insert(forms.end(), std::begin(others), std::end(others));
    return forms;
}

struct Random {
    std::mt19937_64 engine{20240611};
    u64 bits() { return engine(); }
    u64 below(u64 n) { return engine() % n; }
    bool chance(unsigned percent) { return below(100) < percent; }
};

constexpr u64 gs_base = 0x12'3450;

AddressContext test_context() {
    return {.fs_base = Cpu::get().fs_base(), .gs_base = gs_base};
}

Frame random_frame(Random& random) {
    Frame frame{};
    for (unsigned i = 0; i < 16; ++i) frame.gpr(i) = random.chance(20) ? random.below(3) - 1 : random.bits();
    frame.rflags = (random.bits() & (emul::rflags::arithmetic | emul::rflags::direction)) | 0x202;
    frame.rip = Cpu::get().code_address();
    return frame;
}

struct Prefixes {
    bool lock = false, operand16 = false, address32 = false;
    u8 segment = 0, repeat = 0, rex = 0;

    std::vector<u8> bytes(Random& random) const {
        std::vector<u8> out;
        if (lock) out.push_back(0xf0);
        if (operand16) out.push_back(0x66);
        if (address32) out.push_back(0x67);
        if (repeat != 0) out.push_back(repeat);
        std::shuffle(out.begin(), out.end(), random.engine);
        if (segment != 0) out.insert(out.begin() + static_cast<long>(random.below(out.size() + 1)), segment);
        // Prefixes without effect: other segments after the override, a REX that is not directly before the opcode.
        if (random.chance(10)) out.push_back(u8(0x26 + 8 * random.below(4)));
        if (random.chance(5) && (!out.empty() || rex != 0)) out.insert(out.begin(), 0x4f);
        if (rex != 0) out.push_back(rex);
        return out;
    }
};

struct Case {
    std::vector<u8> bytes;
    Frame frame;
};

void put(std::vector<u8>& out, u64 value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) out.push_back(static_cast<u8>(value >> (8 * i)));
}

// Encodes `form` with random prefixes and addressing such that its memory operand is at `target`. False: this roll cannot.
bool encode(const Form& form, u64 target, Random& random, Case& result) {
    Frame& frame = result.frame;
    frame = random_frame(random);
    Prefixes prefixes;
    prefixes.lock = form.lockable && random.chance(50);
    prefixes.operand16 = random.chance(25);
    prefixes.address32 = random.chance(15);
    if (random.chance(60)) prefixes.rex = static_cast<u8>(0x40 + random.below(16));
    const std::string_view name = form.name;
    if (name == "movnti") prefixes.operand16 = false;
    if (name == "cmpxchg8b") prefixes.operand16 = false, prefixes.rex &= 0xf7;
    u64 want = target;
    if (random.chance(20)) {
        prefixes.segment = random.chance(50) ? 0x64 : 0x65;
        const u64 base = prefixes.segment == 0x64 ? Cpu::get().fs_base() : gs_base;
        if (prefixes.segment == 0x64) prefixes.address32 = false;
        if (!name.starts_with("stos")) want -= base;
    }
    std::vector<u8> out = prefixes.bytes(random);
    out.insert(out.end(), form.opcode.begin(), form.opcode.end());
    auto set_address = [&](unsigned reg, u64 value) {
        frame.gpr(reg) = prefixes.address32 ? (random.bits() << 32) | (value & 0xffff'ffff) : value;
    };
    const bool wide = prefixes.rex & 8;
    const unsigned full_bytes = wide ? 4 : prefixes.operand16 ? 2 : 4;
    const unsigned immediate_bytes = form.immediate == Immediate::byte ? 1 : form.immediate == Immediate::full ? full_bytes : 0;

    if (form.operation == -2) {
        if (form.immediate == Immediate::address)
            put(out, want, prefixes.address32 ? 4 : 8);
        else
            set_address(7, want);
        result.bytes = out;
        return out.size() <= 15;
    }
    const unsigned mod = static_cast<unsigned>(random.below(3));
    const unsigned rm = random.chance(40) ? 4 : static_cast<unsigned>(random.below(8));
    const unsigned reg = form.operation >= 0 ? static_cast<unsigned>(form.operation) : static_cast<unsigned>(random.below(8));
    const unsigned source = reg | ((prefixes.rex & 4u) << 1);
    out.push_back(static_cast<u8>(mod << 6 | reg << 3 | rm));
    unsigned base = rm | ((prefixes.rex & 1u) << 3);
    bool has_base = true;
    bool has_index = false;
    unsigned index = 0, scale = 0;
    bool rip_relative = mod == 0 && rm == 5;
    if (rm == 4) {
        const u8 sib = static_cast<u8>(random.bits());
        out.push_back(sib);
        base = (sib & 7u) | ((prefixes.rex & 1u) << 3);
        index = ((sib >> 3) & 7u) | ((prefixes.rex & 2u) << 2);
        scale = sib >> 6;
        has_index = index != 4;
        has_base = !(mod == 0 && (sib & 7) == 5);
    }
    if (rip_relative) has_base = false;
    unsigned displacement_bytes = mod == 1 ? 1 : (mod == 2 || !has_base) ? 4 : 0;
    if (form.bit_offset) {
        if ((has_base && source == base) || (has_index && source == index)) return false;
        const u64 offset = random.below(16000) - 8000;
        const u64 garbage = random.bits();
        frame.gpr(source) = wide                 ? offset
                            : prefixes.operand16 ? (garbage << 16) | (offset & 0xffff)
                                                 : (garbage << 32) | (offset & 0xffff'ffff);
    }
    u64 displacement = displacement_bytes == 1   ? static_cast<u64>(i64{static_cast<i8>(random.bits())})
                       : displacement_bytes == 4 ? static_cast<u64>(i64{static_cast<i32>(random.bits())})
                                                 : 0;
    if (has_base && !(has_index && index == base)) {
        const u64 rest = displacement + (has_index ? frame.gpr(index) << scale : 0);
        set_address(base, want - rest);
    } else {
        if (displacement_bytes != 4 || (form.bit_offset && has_index && source == index)) return false;
        if (has_index) frame.gpr(index) = random.below(1000);
        u64 rest = has_index ? frame.gpr(index) << scale : 0;
        if (has_base) rest += frame.gpr(base);
        if (rip_relative) rest += frame.rip + out.size() + 4 + immediate_bytes;
        displacement = want - rest;
        if (prefixes.address32) displacement = static_cast<u64>(i64{static_cast<i32>(displacement)});
        if (displacement != static_cast<u64>(i64{static_cast<i32>(displacement)})) return false;
    }
    put(out, displacement, displacement_bytes);
    put(out, random.bits(), immediate_bytes);
    result.bytes = out;
    return out.size() <= 15;
}

FetchWindow window_of(std::span<const u8> bytes, u8 valid, Random& random) {
    FetchWindow window{};
    for (u8& byte : window.bytes) byte = static_cast<u8>(random.bits());
    std::memcpy(window.bytes.data(), bytes.data(), bytes.size());
    window.valid = valid;
    return window;
}

bool same(const StoreOp& a, const StoreOp& b) {
    const bool uses_expected = a.kind == emul::StoreKind::cmpxchg || a.kind == emul::StoreKind::cmpxchg8b ||
                               a.kind == emul::StoreKind::adc || a.kind == emul::StoreKind::sbb;
    const bool uses_source = a.kind == emul::StoreKind::xchg || a.kind == emul::StoreKind::xadd;
    return a.linear == b.linear && a.operand == b.operand && (!uses_expected || a.expected == b.expected) && a.kind == b.kind &&
           a.size == b.size && a.length == b.length && (!uses_source || (a.source == b.source && a.high_byte == b.high_byte)) &&
           a.locked == b.locked && a.repeat == b.repeat && a.address32 == b.address32;
}

std::string describe(const Form& form, std::span<const u8> bytes) {
    std::string text = form.name;
    char hex[8];
    for (const u8 byte : bytes) text += (std::snprintf(hex, sizeof hex, " %02x", byte), hex);
    return text;
}

// Decode, apply to memory, retire: what arch/x86/pv does.
void emulate(const StoreOp& op, Frame& frame) {
    u64 old_value = 0;
    std::memcpy(&old_value, reinterpret_cast<void*>(op.linear), op.size);
    const emul::StoreResult result = emul::apply(op, old_value);
    if (result.write) {
        ASSERT_EQ(result.value & ~emul::mask_of(op.size), 0u);
        std::memcpy(reinterpret_cast<void*>(op.linear), &result.value, op.size);
    }
    emul::retire(op, old_value, frame);
}

void fill(Cpu& cpu, const Frame& frame, u64 target, Random& random) {
    for (u64 i = 0; i < Cpu::data_size; i += 8) {
        const u64 word = random.bits();
        std::memcpy(cpu.data() + i, &word, 8);
    }
    // Half of the compare-exchanges shall find what they expect; other operations get interesting values.
    const u64 accumulator = random.chance(50) ? frame.rax : (frame.rdx << 32) | static_cast<u32>(frame.rax);
    if (random.chance(60))
        std::memcpy(reinterpret_cast<void*>(target), &accumulator, 8);
    else if (random.chance(30))
        std::memset(reinterpret_cast<void*>(target), random.chance(50) ? 0xff : 0, 8);
}

void expect_same_registers(const Frame& real, const Frame& emulated) {
    for (unsigned i = 0; i < 16; ++i) EXPECT_EQ(real.gpr(i), emulated.gpr(i)) << "register " << i;
    EXPECT_EQ(real.rip, emulated.rip);
    EXPECT_EQ(real.rflags, emulated.rflags) << std::hex << real.rflags << " " << emulated.rflags;
}

TEST(EmulStore, EveryFormDoesWhatTheProcessorDoes) {
    Random random;
    Cpu& cpu = Cpu::get();
    cpu.set_gs_base(gs_base);
    const AddressContext context = test_context();
    for (const Form& form : make_forms()) {
        for (unsigned round = 0; round < 800; ++round) {
            Case test;
            const u64 target = reinterpret_cast<u64>(cpu.data()) + Cpu::data_size / 2 + random.below(64);
            while (!encode(form, target, random, test)) {
            }
            SCOPED_TRACE(describe(form, test.bytes));
            fill(cpu, test.frame, target, random);
            const std::vector<u8> before(cpu.data(), cpu.data() + Cpu::data_size);
            const u8 valid = static_cast<u8>(random.chance(50) ? 15 : test.bytes.size());
            const FetchWindow window = window_of(test.bytes, valid, random);
            const auto op = emul::decode_store(window, test.frame, context);
            ASSERT_TRUE(op.has_value());
            ASSERT_EQ(op->length, test.bytes.size());
            const auto general = emul::detail::decode_any_store(window, test.frame, context);
            ASSERT_TRUE(general && same(*op, *general));
            const u64 start = reinterpret_cast<u64>(cpu.data());
            ASSERT_TRUE(op->linear >= start && op->linear + op->size <= start + Cpu::data_size);

            Frame real = test.frame;
            ASSERT_TRUE(cpu.run(test.bytes, real).executed());
            const std::vector<u8> real_memory(cpu.data(), cpu.data() + Cpu::data_size);
            std::memcpy(cpu.data(), before.data(), before.size());
            Frame emulated = test.frame;
            emulate(*op, emulated);
            expect_same_registers(real, emulated);
            ASSERT_EQ(std::memcmp(cpu.data(), real_memory.data(), real_memory.size()), 0);
            if (HasFailure()) return;
        }
    }
}

TEST(EmulStore, ARepeatedStosEndsWhereTheProcessorEnds) {
    Random random;
    Cpu& cpu = Cpu::get();
    for (unsigned round = 0; round < 500; ++round) {
        std::vector<u8> bytes = {static_cast<u8>(random.chance(50) ? 0xf2 : 0xf3)};
        const bool address32 = random.chance(30);
        if (address32) bytes.push_back(0x67);
        if (random.chance(30)) bytes.push_back(0x66);
        if (random.chance(50)) bytes.push_back(0x48);
        bytes.push_back(static_cast<u8>(0xaa + random.below(2)));
        Frame frame = random_frame(random);
        frame.rdi = reinterpret_cast<u64>(cpu.data()) + Cpu::data_size / 2;
        frame.rcx = random.below(40) + 1;
        if (address32) frame.rdi |= random.bits() << 32, frame.rcx |= random.bits() << 32;
        std::memset(cpu.data(), 0, Cpu::data_size);
        Frame real = frame;
        ASSERT_TRUE(cpu.run(bytes, real).executed());
        const std::vector<u8> real_memory(cpu.data(), cpu.data() + Cpu::data_size);
        std::memset(cpu.data(), 0, Cpu::data_size);
        Frame emulated = frame;
        unsigned elements = 0;
        while (emulated.rip == frame.rip && elements++ < 50) {
            const auto op = emul::decode_store(window_of(bytes, 15, random), emulated, test_context());
            ASSERT_TRUE(op && op->repeat);
            emulate(*op, emulated);
        }
        EXPECT_EQ(elements, static_cast<unsigned>(frame.rcx & 0xff));
        expect_same_registers(real, emulated);
        ASSERT_EQ(std::memcmp(cpu.data(), real_memory.data(), real_memory.size()), 0);
    }
}

TEST(EmulStore, ACutOffInstructionNeedsMoreAtEveryLength) {
    Random random;
    const AddressContext context = test_context();
    for (const Form& form : make_forms()) {
        for (unsigned round = 0; round < 200; ++round) {
            Case test;
            while (!encode(form, 0x5000'0000, random, test)) {
            }
            SCOPED_TRACE(describe(form, test.bytes));
            for (u8 valid = 0; valid < test.bytes.size(); ++valid) {
                const std::span<const u8> seen(test.bytes.data(), valid);
                const auto op = emul::decode_store(window_of(seen, valid, random), test.frame, context);
                ASSERT_FALSE(op.has_value()) << int{valid};
                ASSERT_EQ(op.error(), DecodeError::need_more) << int{valid};
            }
        }
    }
}

// The processor says #UD before it looks at memory, so the answer does not depend on the operand.
TEST(EmulStore, LockIsLegalWhereTheProcessorThinksSo) {
    Random random;
    Cpu& cpu = Cpu::get();
    for (const Form& form : make_forms()) {
        std::vector<u8> bytes = {0xf0};
        bytes.insert(bytes.end(), form.opcode.begin(), form.opcode.end());
        if (form.operation != -2) bytes.push_back(static_cast<u8>(form.operation > 0 ? form.operation << 3 : 0));  // (%rax)
        put(bytes, 0,
            form.immediate == Immediate::byte      ? 1
            : form.immediate == Immediate::full    ? 4
            : form.immediate == Immediate::address ? 8
                                                   : 0);
        Frame frame{};
        frame.rax = frame.rdi = cpu.reserved_start() + 4096;
        SCOPED_TRACE(describe(form, bytes));
        const auto op = emul::decode_store(window_of(bytes, 15, random), frame, test_context());
        EXPECT_EQ(op.has_value(), form.lockable);
        if (!op) EXPECT_EQ(op.error(), DecodeError::unhandled);
        if (form.immediate == Immediate::address) continue;  // #UD is the same, but an absolute 0 must not be tried otherwise
        EXPECT_EQ(cpu.run(bytes, frame).vector, form.lockable ? 14u : 6u);
    }
}

// Random bytes: whatever the decoder claims to understand must fault at the same address, as a write, and have the same length.
TEST(EmulStore, RandomBytesFaultWhereTheDecoderSays) {
    Random random;
    Cpu& cpu = Cpu::get();
    cpu.set_gs_base(gs_base);
    const AddressContext context = test_context();
    const u8 common[] = {0xf0, 0x66, 0x67, 0x64, 0x65, 0x2e, 0x3e, 0xf2, 0xf3,
                         0x48, 0x4c, 0x41, 0x0f, 0x0f, 0x89, 0x87, 0xb1, 0xba};
    unsigned tried = 0;
    for (unsigned round = 0; round < 400'000; ++round) {
        FetchWindow window{};
        for (u8& byte : window.bytes)
            byte = random.chance(50) ? common[random.below(sizeof common)] : static_cast<u8>(random.bits());
        window.valid = 15;
        Frame frame = random_frame(random);
        for (unsigned i = 0; i < 16; ++i) {
            frame.gpr(i) =
                random.chance(60) ? cpu.reserved_start() + Cpu::reserved_size / 2 + random.below(1u << 30) : random.below(4096);
        }
        const auto probe = emul::decode_store(window, frame, context);
        if (!probe) continue;
        frame.rip = cpu.page_end() - probe->length;  // for rip-relative operands
        const auto op = emul::decode_store(window, frame, context);
        ASSERT_TRUE(op.has_value());
        if (op->linear - cpu.reserved_start() >= Cpu::reserved_size - 64) continue;
        ++tried;
        const std::span<const u8> bytes(window.bytes.data(), op->length);
        SCOPED_TRACE(describe({"random", {}, 0, Immediate::none, false}, bytes));
        Frame state = frame;
        const Trap trap = cpu.run_at_page_end(bytes, state);
        ASSERT_EQ(trap.vector, 14u);
        ASSERT_LT(trap.address - op->linear, op->size) << std::hex << trap.address << " " << op->linear;
        ASSERT_TRUE(trap.error_code & 2);
        state = frame;
        const Trap cut = cpu.run_at_page_end(bytes.first(op->length - 1u), state);
        ASSERT_EQ(cut.vector, 14u);
        ASSERT_EQ(cut.address, cpu.page_end());
    }
    EXPECT_GT(tried, 20'000u);
}

TEST(EmulStore, WhatItDoesNotKnowIsUnhandled) {
    Random random;
    const Frame frame{};
    const std::vector<std::vector<u8>> refused = {
        {0x48, 0x89, 0xc0},                    // register form
        {0x48, 0x8b, 0x00},                    // a load
        {0x48, 0x39, 0x00},                    // cmp
        {0x80, 0x38, 0x00},                    // cmp immediate
        {0x0f, 0xba, 0x20, 0x00},              // bt
        {0x48, 0x0f, 0xc7, 0x08},              // cmpxchg16b
        {0x8f, 0x00},                          // pop
        {0xc6, 0x08, 0x00},                    // no such operation of the group
        {0x66, 0x0f, 0xc3, 0x00},              // movnti never has 66
        {0xc5, 0xf9, 0x7f, 0x00},              // VEX
        {0x62, 0xf1, 0x7c, 0x48, 0x11, 0x00},  // EVEX
        {0xf0, 0x48, 0x89, 0x00},              // lock mov
        {0xa4},                                // movs
        {0x06},
        {0x0f, 0x0b},
        {0xcc},
        {0xf4},
    };
    for (const auto& bytes : refused) {
        const auto op = emul::decode_store(window_of(bytes, 15, random), frame, {});
        ASSERT_FALSE(op.has_value()) << int{bytes[0]};
        EXPECT_EQ(op.error(), DecodeError::unhandled);
    }
}

TEST(EmulStore, SixteenBytesAreNoInstruction) {
    FetchWindow window{};
    window.bytes.fill(0x2e);
    window.valid = 15;
    EXPECT_EQ(emul::decode_store(window, Frame{}, {}).error(), DecodeError::unhandled);
    for (u8 prefixes = 10; prefixes < 15; ++prefixes) {  // mov %eax,(%rax) fits behind 13
        window.bytes.fill(0x2e);
        window.bytes[prefixes] = 0x89;
        if (prefixes < 14) window.bytes[prefixes + 1u] = 0;
        EXPECT_EQ(emul::decode_store(window, Frame{}, {}).has_value(), prefixes <= 13) << int{prefixes};
    }
    window.bytes.fill(0x40);
    EXPECT_FALSE(emul::decode_store(window, Frame{}, {}).has_value());
}

TEST(EmulStore, OnlySixtyFourBitCodeAndUsableSegments) {
    Random random;
    const std::vector<u8> plain = {0x89, 0x00}, with_fs = {0x64, 0x89, 0x00}, with_gs = {0x65, 0x89, 0x00};
    const Frame frame{};
    for (const CodeMode mode : {CodeMode::bits32, CodeMode::other}) {
        EXPECT_FALSE(emul::decode_store(window_of(plain, 15, random), frame, {.mode = mode}).has_value());
    }
    const AddressContext no_fs{.fs_usable = false}, no_gs{.gs_usable = false};
    EXPECT_FALSE(emul::decode_store(window_of(with_fs, 15, random), frame, no_fs).has_value());
    EXPECT_TRUE(emul::decode_store(window_of(with_gs, 15, random), frame, no_fs).has_value());
    EXPECT_FALSE(emul::decode_store(window_of(with_gs, 15, random), frame, no_gs).has_value());
    EXPECT_TRUE(emul::decode_store(window_of(plain, 15, random), frame, no_gs).has_value());
}

TEST(EmulStore, TheWordAroundAnAccessKeepsItsOtherBytes) {
    StoreOp op{};
    op.linear = 0x1003;
    op.size = 2;
    EXPECT_TRUE(emul::within_word(op));
    EXPECT_EQ(emul::bytes_in_word(op, 0x1122'3344'5566'7788), 0x4455u);
    EXPECT_EQ(emul::word_with_bytes(op, 0x1122'3344'5566'7788, 0xabcd), 0x1122'33ab'cd66'7788u);
    op.linear = 0x1007;
    EXPECT_FALSE(emul::within_word(op));
    op.linear = 0x1000;
    op.size = 8;
    EXPECT_TRUE(emul::within_word(op));
    EXPECT_EQ(emul::word_with_bytes(op, ~u64{0}, 5), 5u);
}

}  // namespace
}  // namespace xylem::emul_test
