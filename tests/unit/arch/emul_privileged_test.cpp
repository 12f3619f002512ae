// SPDX-License-Identifier: MIT
// Privileged instructions: what the decoder reads from them, and that the processor agrees that they are privileged and that
// long.
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "arch/x86/emul/privileged.hpp"
#include "tests/unit/arch/emul_cpu.hpp"

namespace xylem::emul_test {
namespace {

using emul::AddressContext;
using emul::CodeMode;
using emul::DecodeError;
using emul::FetchWindow;
using emul::PrivilegedKind;
using emul::PrivilegedOp;
using emul::Right;
using Bytes = std::vector<u8>;

// What the host does with the instruction at CPL 3.
enum class Native { general_protection, invalid_opcode, executed, not_tried };

struct Row {
    Bytes bytes;
    PrivilegedKind kind;
    Native native = Native::general_protection;
};

const std::vector<Row>& rows() {
    using enum PrivilegedKind;
    static const std::vector<Row> table = {
        {{0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2}, cpuid_forced, Native::invalid_opcode},
        {{0x0f, 0xa2}, cpuid, Native::executed},
        {{0x66, 0x0f, 0xa2}, cpuid, Native::executed},
        {{0x0f, 0x31}, rdtsc, Native::executed},
        {{0x0f, 0x01, 0xf9}, rdtscp, Native::executed},
        {{0x0f, 0x32}, rdmsr},
        {{0x0f, 0x30}, wrmsr},
        {{0x0f, 0x20, 0xc0}, read_control},
        {{0x41, 0x0f, 0x20, 0xd7}, read_control},
        {{0x44, 0x0f, 0x20, 0xc1}, read_control},
        {{0x0f, 0x20, 0x1c}, read_control},
        {{0x0f, 0x22, 0xe3}, write_control},
        {{0x0f, 0x21, 0xf8}, read_debug},
        {{0x41, 0x0f, 0x23, 0xff}, write_debug},
        {{0x0f, 0x06}, clts},
        {{0x0f, 0x01, 0xf0}, lmsw},
        {{0x41, 0x0f, 0x01, 0x74, 0x24, 0x10}, lmsw},
        {{0x48, 0x0f, 0x01, 0xe1}, smsw, Native::not_tried},
        {{0x0f, 0x01, 0x20}, smsw, Native::not_tried},
        {{0x0f, 0x01, 0xd1}, xsetbv},
        {{0xfa}, cli},
        {{0xfb}, sti},
        {{0xe4, 0x70}, port_in},
        {{0xe5, 0x71}, port_in},
        {{0xe6, 0x72}, port_out},
        {{0x66, 0xe7, 0x73}, port_out},
        {{0xec}, port_in},
        {{0x48, 0xed}, port_in},
        {{0x66, 0xed}, port_in},
        {{0xee}, port_out},
        {{0x66, 0xef}, port_out},
        {{0x6c}, string_in},
        {{0xf3, 0x6d}, string_in},
        {{0x67, 0x66, 0x6d}, string_in},
        {{0x6e}, string_out},
        {{0xf2, 0x65, 0x6f}, string_out},
        {{0x0f, 0x09}, cache_flush},
        {{0x0f, 0x08}, invd},
        {{0x0f, 0x33}, rdpmc},
        {{0xf4}, hlt},
        {{0x0f, 0x01, 0x38}, invlpg},
        {{0x0f, 0x01, 0xbc, 0x88, 0, 1, 0, 0}, invlpg},
        {{0xcd, 0x20}, software_interrupt},
        {{0xcd, 0xff}, software_interrupt},
        {{0x0f, 0x01, 0x10}, refused},
        {{0x0f, 0x01, 0x18}, refused},
        {{0x0f, 0x01, 0x00}, refused, Native::not_tried},
        {{0x0f, 0x01, 0x08}, refused, Native::not_tried},
        {{0x0f, 0x00, 0xd0}, refused},
        {{0x0f, 0x00, 0x18}, refused},
        {{0x0f, 0x00, 0xc0}, refused, Native::not_tried},
        {{0x0f, 0x01, 0xf8}, refused},
    };
    return table;
}

FetchWindow window_of(const Bytes& bytes, u64 valid = 15, u8 filler = 0) {
    FetchWindow window{};
    window.bytes.fill(filler);
    std::copy(bytes.begin(), bytes.begin() + static_cast<long>(std::min<u64>(bytes.size(), valid)), window.bytes.begin());
    window.valid = static_cast<u8>(valid);
    return window;
}

Frame test_frame() {
    Frame frame{};
    for (unsigned i = 0; i < 16; ++i) frame.gpr(i) = 0x1'0000'0000 * (i + 1) + 0x1000 * i + 0x123;
    frame.rflags = 0x202;
    return frame;
}

// Decodes an instruction that must be known.
PrivilegedOp decode(const Bytes& bytes, const Frame& frame, const AddressContext& context = {}) {
    const auto op = emul::decode_privileged(window_of(bytes), frame, context);
    EXPECT_TRUE(op.has_value());
    return op.value_or(PrivilegedOp{});
}

TEST(EmulPrivileged, EveryInstructionIsRecognisedWithItsLength) {
    for (const Row& row : rows()) {
        const PrivilegedOp op = decode(row.bytes, test_frame());
        EXPECT_EQ(op.kind, row.kind) << ::testing::PrintToString(row.bytes);
        EXPECT_EQ(op.length, row.bytes.size()) << ::testing::PrintToString(row.bytes);
    }
}

TEST(EmulPrivileged, ACutOffInstructionNeedsMoreAtEveryLength) {
    for (const Row& row : rows()) {
        for (u64 valid = 0; valid < row.bytes.size(); ++valid) {
            for (const u8 filler : std::initializer_list<u8>{0x00, 0x90, 0xf0, 0xff, 0x0b}) {
                const auto op = emul::decode_privileged(window_of(row.bytes, valid, filler), test_frame(), {});
                ASSERT_FALSE(op.has_value()) << ::testing::PrintToString(row.bytes) << valid;
                EXPECT_EQ(op.error(), DecodeError::need_more) << ::testing::PrintToString(row.bytes) << valid;
            }
        }
    }
}

TEST(EmulPrivileged, TheProcessorFaultsOnThemAtThatLength) {
    Cpu& cpu = Cpu::get();
    for (const Row& row : rows()) {
        SCOPED_TRACE(::testing::PrintToString(row.bytes));
        Frame frame{};
        for (unsigned i = 0; i < 16; ++i) frame.gpr(i) = cpu.reserved_start();
        frame.rcx = 0xffff'ffff;  // no such counter for rdpmc
        Frame state = frame;
        const Trap cut = cpu.run_at_page_end(std::span(row.bytes).first(row.bytes.size() - 1), state);
        if (row.kind != PrivilegedKind::cpuid_forced) {  // the processor sees only its ud2
            EXPECT_EQ(cut.vector, 14u);
            EXPECT_EQ(cut.address, cpu.page_end());
        }
        state = frame;
        const Trap whole = cpu.run_at_page_end(row.bytes, state);
        switch (row.native) {
            case Native::general_protection: EXPECT_EQ(whole.vector, 13u); break;
            case Native::invalid_opcode: EXPECT_EQ(whole.vector, 6u); break;
            case Native::executed:  // and went on into the inaccessible page
                EXPECT_EQ(whole.vector, 14u);
                EXPECT_EQ(whole.address, cpu.page_end());
                break;
            case Native::not_tried: break;
        }
    }
}

TEST(EmulPrivileged, SystemRegisterMovesNameBothRegisters) {
    PrivilegedOp op = decode({0x41, 0x0f, 0x20, 0xd7}, test_frame());  // mov %cr2,%r15
    EXPECT_EQ(op.system_register, 2);
    EXPECT_EQ(op.reg, 15);
    EXPECT_EQ(op.size, 8);
    op = decode({0x44, 0x0f, 0x20, 0xc1}, test_frame());  // mov %cr8,%rcx
    EXPECT_EQ(op.system_register, 8);
    EXPECT_EQ(op.reg, 1);
    op = decode({0x0f, 0x20, 0x1c}, test_frame());  // mod is ignored: mov %cr3,%rsp
    EXPECT_EQ(op.system_register, 3);
    EXPECT_EQ(op.reg, 4);
    op = decode({0x41, 0x0f, 0x23, 0xff}, test_frame());  // mov %r15,%dr7
    EXPECT_EQ(op.system_register, 7);
    EXPECT_EQ(op.reg, 15);
}

TEST(EmulPrivileged, PortsTakeSizeFromOpcodeAndPrefixOnly) {
    Frame frame = test_frame();
    frame.rdx = 0xffff'0000'1234'0cfc;
    PrivilegedOp op = decode({0x48, 0xed}, frame);
    EXPECT_EQ(op.size, 4);
    EXPECT_EQ(op.port, 0x0cfc);
    op = decode({0x66, 0xef}, frame);
    EXPECT_EQ(op.kind, PrivilegedKind::port_out);
    EXPECT_EQ(op.size, 2);
    op = decode({0x66, 0xee}, frame);
    EXPECT_EQ(op.size, 1);
    op = decode({0xe4, 0xf0}, frame);
    EXPECT_EQ(op.port, 0xf0);
    EXPECT_EQ(decode({0xcd, 0x82}, frame).vector, 0x82);
}

TEST(EmulPrivileged, StringsObeySegmentDirectionAndAddressSize) {
    const AddressContext context{.fs_base = 0x1000'0000'0000, .gs_base = 0x2000'0000'0000};
    Frame frame = test_frame();
    frame.rsi = 0x5'0000'1000;
    frame.rdi = 0x6'0000'2000;
    frame.rcx = 0x7'0000'0003;
    PrivilegedOp op = decode({0x64, 0xf3, 0x6f}, frame, context);  // rep outsl %fs:(%rsi)
    EXPECT_EQ(op.linear, 0x1005'0000'1000u);
    EXPECT_EQ(op.count, frame.rcx);
    EXPECT_EQ(op.step, 4u);
    op = decode({0x65, 0x67, 0xf3, 0x66, 0x6f}, frame, context);
    EXPECT_EQ(op.linear, 0x2000'0000'1000u);
    EXPECT_EQ(op.count, 3u);
    EXPECT_EQ(op.size, 2);
    op = decode({0x65, 0x3e, 0x6e}, frame, context);  // ds does not cancel gs
    EXPECT_EQ(op.linear, 0x2005'0000'1000u);
    op = decode({0x65, 0x64, 0x6e}, frame, context);  // the last one wins
    EXPECT_EQ(op.linear, 0x1005'0000'1000u);
    op = decode({0x65, 0x6d}, frame, context);  // the destination is always es
    EXPECT_EQ(op.linear, frame.rdi);
    EXPECT_EQ(op.count, 1u);
    frame.rflags |= emul::rflags::direction;
    EXPECT_EQ(decode({0x6c}, frame, context).step, ~u64{0});

    op = decode({0xf3, 0x6d}, frame, context);
    frame.rcx = 3;
    frame.rip = 0x100;
    op = decode({0xf3, 0x6d}, frame, context);
    emul::retire_string(op, 2, frame);
    EXPECT_EQ(frame.rdi, 0x6'0000'2000u - 8);
    EXPECT_EQ(frame.rcx, 1u);
    EXPECT_EQ(frame.rip, 0x100u);
    emul::retire_string(op, 1, frame);
    EXPECT_EQ(frame.rcx, 0u);
    EXPECT_EQ(frame.rip, 0x102u);
    op = decode({0xf3, 0x6d}, frame, context);
    EXPECT_EQ(op.count, 0u);
    emul::retire_string(op, 0, frame);
    EXPECT_EQ(frame.rip, 0x104u);
}

TEST(EmulPrivileged, UnusableSegmentsStopOnlyWhoNamesThem) {
    const AddressContext context{.fs_usable = false};
    EXPECT_FALSE(emul::decode_privileged(window_of({0x64, 0x6e}), test_frame(), context).has_value());
    EXPECT_FALSE(emul::decode_privileged(window_of({0x64, 0x0f, 0x01, 0x38}), test_frame(), context).has_value());
    EXPECT_TRUE(emul::decode_privileged(window_of({0x65, 0x6e}), test_frame(), context).has_value());
    EXPECT_TRUE(emul::decode_privileged(window_of({0x64, 0x6c}), test_frame(), context).has_value());  // ins uses es
    EXPECT_TRUE(emul::decode_privileged(window_of({0x64, 0xec}), test_frame(), context).has_value());
}

TEST(EmulPrivileged, ThirtyTwoBitCodeHasNoRexAndNoMemory) {
    const AddressContext context{.mode = CodeMode::bits32};
    Frame frame = test_frame();
    EXPECT_EQ(decode({0xed}, frame, context).size, 4);
    EXPECT_EQ(decode({0xcd, 0x80}, frame, context).vector, 0x80);
    EXPECT_EQ(decode({0x0f, 0xa2}, frame, context).kind, PrivilegedKind::cpuid);
    for (const Bytes& bytes : {Bytes{0x48, 0xed}, Bytes{0x6c}, Bytes{0x6e}, Bytes{0x0f, 0x01, 0x38}, Bytes{0x0f, 0x01, 0x10}}) {
        EXPECT_FALSE(emul::decode_privileged(window_of(bytes), frame, context).has_value());
    }
    EXPECT_FALSE(emul::decode_privileged(window_of({0xec}), frame, {.mode = CodeMode::other}).has_value());
}

TEST(EmulPrivileged, OthersAreUnhandled) {
    const std::vector<Bytes> refused = {
        {0x0f, 0x0b},                             // a plain ud2 ...
        {0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0x05},  // ... and with another instruction
        {0x0f, 0x0b, 'x', 'e', 'm', 0x0f, 0xa2},  //
        {0x0f, 0x07},
        {0x0f, 0x35},
        {0x0f, 0x34},
        {0x0f, 0x05},              // sysret, sysexit, sysenter, syscall
        {0x0f, 0x20, 0xc8},        // cr1
        {0x0f, 0x20, 0xe8},        // cr5
        {0x44, 0x0f, 0x21, 0xc0},  // dr8
        {0xf0, 0x0f, 0x20, 0xc0},  // lock
        {0xf0, 0xfa},              //
        {0x0f, 0x01, 0xd0},        // xgetbv
        {0x0f, 0x01, 0xc1},        // vmcall
        {0x0f, 0x01, 0x28},        // no such operation
        {0x0f, 0x00, 0xe0},        // verr
        {0xcc},
        {0xcf},
        {0x90},
        {0xc3},
    };
    for (const Bytes& bytes : refused) {
        const auto op = emul::decode_privileged(window_of(bytes), test_frame(), {});
        ASSERT_FALSE(op.has_value()) << ::testing::PrintToString(bytes);
        EXPECT_EQ(op.error(), DecodeError::unhandled) << ::testing::PrintToString(bytes);
    }
    FetchWindow window{};
    window.bytes.fill(0x66);
    window.valid = 15;
    EXPECT_EQ(emul::decode_privileged(window, test_frame(), {}).error(), DecodeError::unhandled);
    window.bytes[14] = 0xfa;
    EXPECT_EQ(emul::decode_privileged(window, test_frame(), {})->length, 15);
    window.bytes[14] = 0xcd;  // its vector would be byte 16
    EXPECT_EQ(emul::decode_privileged(window, test_frame(), {}).error(), DecodeError::unhandled);
}

TEST(EmulPrivileged, RightsAreNeverForgotten) {
    EXPECT_EQ(emul::right_of(PrivilegedKind::cpuid), Right::anyone);
    EXPECT_EQ(emul::right_of(PrivilegedKind::wrmsr), Right::guest_kernel);
    EXPECT_EQ(emul::right_of(PrivilegedKind::refused), Right::guest_kernel);
    EXPECT_EQ(emul::right_of(PrivilegedKind::string_out), Right::port_access);
    EXPECT_EQ(emul::right_of(PrivilegedKind::cli), Right::virtual_iopl);
    EXPECT_EQ(emul::right_of(PrivilegedKind::software_interrupt), Right::gate);
}

TEST(EmulFrame, RegistersHaveTheirHardwareNumbers) {
    Frame frame{};
    u64* const expected[16] = {&frame.rax, &frame.rcx, &frame.rdx, &frame.rbx, &frame.rsp, &frame.rbp, &frame.rsi, &frame.rdi,
                               &frame.r8,  &frame.r9,  &frame.r10, &frame.r11, &frame.r12, &frame.r13, &frame.r14, &frame.r15};
    for (unsigned i = 0; i < 16; ++i) EXPECT_EQ(&frame.gpr(i), expected[i]);
}

}  // namespace
}  // namespace xylem::emul_test
