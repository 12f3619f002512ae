// SPDX-License-Identifier: MIT
#include "arch/x86/emul/store.hpp"

#include "arch/x86/emul/operand.hpp"

namespace xylem::emul {
namespace {

using detail::Code;
using detail::Prefixes;
namespace prefix = detail::prefix;
using enum StoreKind;

// One opcode. With `grouped`, `kind` is a row of group_kinds and ModRM.reg the column.
struct Form {
    u8 kind = 0;
    u8 shape = 0;
};
constexpr u8 byte_sized = 1, immediate8 = 2, immediate_full = 4, grouped = 8, without_modrm = 16, is_prefix = 32, is_escape = 64;
constexpr u8 any_immediate = immediate8 | immediate_full;

constexpr u8 number(StoreKind kind) {
    return static_cast<u8>(kind);
}

enum Group : u8 { group_alu, group_mov, group_not_neg, group_inc_dec, group_bit, group_cmpxchg8b, group_count };

constexpr StoreKind group_kinds[group_count][8] = {
    {add, logic_or, adc, sbb, logic_and, sub, logic_xor, none},
    {mov, none, none, none, none, none, none, none},
    {none, none, logic_not, neg, none, none, none, none},
    {inc, dec, none, none, none, none, none, none},
    {none, none, none, none, none, bts, btr, btc},
    {none, cmpxchg8b, none, none, none, none, none, none},
};

struct FormTable {
    Form forms[256]{};

    constexpr void both_sizes(unsigned opcode, u8 kind, u8 shape) {
        forms[opcode] = {kind, static_cast<u8>(shape | byte_sized)};
        forms[opcode + 1] = {kind, shape};
    }
};

// [SDM vol. 2, appendix A: one-byte opcodes]
constexpr FormTable one_byte = [] {
    FormTable table;
    for (const unsigned byte : {0x26u, 0x2eu, 0x36u, 0x3eu, 0x64u, 0x65u, 0x66u, 0x67u, 0xf0u, 0xf2u, 0xf3u})
        table.forms[byte] = {0, is_prefix};
    for (unsigned byte = 0x40; byte < 0x50; ++byte) table.forms[byte] = {0, is_prefix};
    table.forms[0x0f] = {0, is_escape};
    for (unsigned row = 0; row < 7; ++row) table.both_sizes(row * 8, number(group_kinds[group_alu][row]), 0);
    table.forms[0x80] = {group_alu, grouped | byte_sized | immediate8};
    table.forms[0x81] = {group_alu, grouped | immediate_full};
    table.forms[0x83] = {group_alu, grouped | immediate8};
    table.both_sizes(0x86, number(xchg), 0);
    table.both_sizes(0x88, number(mov), 0);
    table.both_sizes(0xa2, number(mov), without_modrm);
    table.both_sizes(0xaa, number(stos), without_modrm);
    table.forms[0xc6] = {group_mov, grouped | byte_sized | immediate8};
    table.forms[0xc7] = {group_mov, grouped | immediate_full};
    table.both_sizes(0xf6, group_not_neg, grouped);
    table.both_sizes(0xfe, group_inc_dec, grouped);
    return table;
}();

// [SDM vol. 2, appendix A: opcodes after 0f]
constexpr FormTable two_byte = [] {
    FormTable table;
    table.forms[0xab] = {number(bts), 0};
    table.forms[0xb3] = {number(btr), 0};
    table.forms[0xbb] = {number(btc), 0};
    table.forms[0xba] = {group_bit, grouped | immediate8};
    table.both_sizes(0xb0, number(cmpxchg), 0);
    table.both_sizes(0xc0, number(xadd), 0);
    table.forms[0xc3] = {number(mov), 0};  // movnti
    table.forms[0xc7] = {group_cmpxchg8b, grouped};
    return table;
}();

constexpr unsigned size_of(u8 shape, Prefixes prefixes) {
    if (shape & byte_sized) return 1;
    if (prefixes & prefix::rex_w) return 8;
    return prefixes & prefix::operand16 ? 2 : 4;
}

constexpr u64 sign_extend(u64 value, unsigned size) {
    const unsigned shift = 64 - 8 * size;
    return static_cast<u64>(static_cast<i64>(value << shift) >> shift);
}

// mov al/ax/eax/rax to an absolute address, and stos. `position` is behind the opcode.
bool decode_without_modrm(StoreOp& op, const Code& code, u64& position, Prefixes prefixes, const Frame& frame,
                          const AddressContext& context) {
    op.operand = frame.rax & mask_of(op.size);
    if (op.kind == mov) {
        const bool narrow = prefixes & prefix::address32;
        op.linear = detail::linear_of(narrow ? code.read<u32>(position) : code.read<u64>(position), prefixes, context);
        position += narrow ? 4 : 8;
        return true;
    }
    // stos goes through es, which no prefix overrides. A count of 0 stores nothing, hence cannot have faulted.
    op.linear = detail::linear_of(frame.rdi, prefixes & ~prefix::any_segment, context);
    op.address32 = prefixes & prefix::address32;
    op.repeat = prefixes & prefix::any_repeat;
    return !op.repeat || (op.address32 ? static_cast<u32>(frame.rcx) : frame.rcx) != 0;
}

// Operands beyond "register or immediate". False: no such instruction here. `effective` is the address before segment and cut.
bool complete_operands(StoreOp& op, u64& effective, u8 shape, Prefixes prefixes, const Frame& frame) {
    switch (op.kind) {
        case cmpxchg: op.expected = frame.rax & mask_of(op.size); return true;
        case cmpxchg8b:
            if (prefixes & (prefix::rex_w | prefix::any_repeat | prefix::operand16)) return false;
            op.size = 8;
            op.operand = (frame.rcx << 32) | static_cast<u32>(frame.rbx);
            op.expected = (frame.rdx << 32) | static_cast<u32>(frame.rax);
            return true;
        case bts:
        case btr:
        case btc: {
            // A register's bit offset is signed, as wide as the operand, and reaches whole operands beyond the address (XSA-195).
            if (!(shape & any_immediate)) {
                const i64 offset = static_cast<i64>(sign_extend(op.operand, op.size));
                effective += static_cast<u64>(offset >> 3) & ~u64{op.size - 1u};
            }
            op.operand = u64{1} << (op.operand & (8u * op.size - 1));
            return true;
        }
        case adc:
        case sbb: op.expected = frame.rflags & rflags::carry; return true;
        case none:
        case mov:
        case stos:
        case xchg:
        case logic_and:
        case logic_or:
        case logic_xor:
        case add:
        case sub:
        case xadd:
        case inc:
        case dec:
        case logic_not:
        case neg: return true;
    }
    return true;
}

// Reads the prefixes up to the opcode; returns its first byte. `position` ends behind it. At 15 prefixes it gives up with a
// prefix.
[[gnu::always_inline]] inline u8 read_prefixes(const Code& code, u64& position, Prefixes& prefixes) {
    for (;;) {
        u8 byte = code.at(position++);
        if ((byte & 0xf0) == 0x40) {
            prefixes |= byte;
            byte = code.at(position++);
        }
        if (!(one_byte.forms[byte].shape & is_prefix)) [[likely]]
            return byte;
        // REX counts only directly before the opcode. A second REX is read again as a first one.
        prefixes &= ~prefix::rex_mask;
        if (byte == 0xf0) [[likely]] {
            prefixes |= prefix::lock;
        } else if (const Prefixes more = detail::with_prefix(prefixes, byte); more != detail::no_prefix) {
            prefixes = more;
        } else {
            --position;
        }
        if (position >= max_instruction_length) return byte;
    }
}

}  // namespace

std::expected<StoreOp, DecodeError> detail::decode_any_store(const FetchWindow& window, const Frame& frame,
                                                             const AddressContext& context) {
    if (context.mode != CodeMode::bits64) [[unlikely]]
        return std::unexpected(DecodeError::unhandled);
    const Code code(window);
    u64 position = 0;
    Prefixes prefixes = 0;
    Form form = one_byte.forms[read_prefixes(code, position, prefixes)];
    if (form.shape & is_escape) {
        const u8 opcode = code.at(position++);
        form = two_byte.forms[opcode];
        // movnti is an invalid opcode with any of these.
        if (opcode == 0xc3 && prefixes & (prefix::operand16 | prefix::any_repeat)) return std::unexpected(code.refuse(position));
    }
    if (form.kind == 0 && !(form.shape & grouped)) return std::unexpected(code.refuse(position));

    std::expected<StoreOp, DecodeError> result;
    StoreOp& op = *result;
    op.kind = static_cast<StoreKind>(form.kind);
    op.size = static_cast<u8>(size_of(form.shape, prefixes));
    if (prefixes & prefix::any_segment && !detail::segment_usable(prefixes, context)) [[unlikely]] {
        return std::unexpected(code.refuse(position));
    }
    if (form.shape & without_modrm) [[unlikely]] {
        if (!decode_without_modrm(op, code, position, prefixes, frame, context)) return std::unexpected(code.refuse(position));
    } else {
        const u8 modrm = code.at(position++);
        const unsigned reg = detail::reg_field(modrm, prefixes);
        if (form.shape & grouped) op.kind = group_kinds[form.kind][reg & 7];
        if (op.kind == none || detail::is_register_form(modrm)) [[unlikely]]
            return std::unexpected(code.refuse(position));

        unsigned immediate_bytes = 0;
        if (form.shape & any_immediate) immediate_bytes = form.shape & immediate8 ? 1 : (op.size == 2 ? 2 : 4);
        u64 effective = detail::effective_address(code.start(), position, modrm, prefixes, frame, immediate_bytes);
        if (form.shape & any_immediate) {
            op.operand = sign_extend(code.read<u32>(position), immediate_bytes) & mask_of(op.size);
            position += immediate_bytes;
        } else {
            // Without REX, byte registers 4..7 are the second bytes of registers 0..3 [SDM vol. 2, 2.2.1.2].
            op.high_byte = form.shape & byte_sized && !(prefixes & prefix::rex_mask) && reg >= 4;
            op.source = static_cast<u8>(op.high_byte ? reg - 4 : reg);
            op.operand = (frame.gpr(op.source) >> (op.high_byte ? 8 : 0)) & mask_of(op.size);
        }
        if (op.kind > xchg && !complete_operands(op, effective, form.shape, prefixes, frame)) {
            return std::unexpected(code.refuse(position));
        }
        op.linear = detail::linear_of(effective, prefixes, context);
    }
    op.locked = prefixes & prefix::lock;
    if (op.locked && op.kind <= stos) [[unlikely]]
        return std::unexpected(code.refuse(position));
    if (!code.complete(position)) [[unlikely]]
        return std::unexpected(code.refuse(position));
    op.length = static_cast<u8>(position);
    return result;
}

// An operation of the short cut, from its ModRM byte on; `rex` and `kind` are known, no other prefix changes the operand.
[[gnu::always_inline]] static inline StoreOp quick_store(StoreKind kind, bool locked, bool with_immediate, const u8* bytes,
                                                         u64 position, Prefixes rex, const Frame& frame) {
    const u8 modrm = bytes[position++];
    u64 address = detail::effective_address(bytes, position, modrm, rex, frame, with_immediate);
    const unsigned reg = detail::reg_field(modrm, rex);
    u64 operand = with_immediate ? bytes[position++] : frame.gpr(reg);
    if (kind >= bts && kind <= btc) {
        if (!with_immediate) address += static_cast<u64>(static_cast<i64>(operand) >> 6) << 3;
        operand = u64{1} << (operand & 63);
    }
    return StoreOp{.linear = address,
                   .operand = operand,
                   .expected = kind == cmpxchg ? frame.rax : 0,
                   .kind = kind,
                   .size = static_cast<u8>(kind == logic_and || kind == logic_or ? 1 : 8),
                   .length = static_cast<u8>(position),
                   .source = static_cast<u8>(reg),
                   .high_byte = false,
                   .locked = locked,
                   .repeat = false,
                   .address32 = false};
}

// What kernels really use on page tables, decoded straight from a full window: REX.W mov and xchg of a register; lock REX.W
// cmpxchg, btr, bts; lock and, or of a byte immediate (clear_bit and set_bit of a constant). Such an instruction is at most 11
// bytes long, so nothing can be cut off. Everything else, and everything malformed, goes to decode_any_store, which gives the
// same answers.
std::expected<StoreOp, DecodeError> decode_store(const FetchWindow& window, const Frame& frame, const AddressContext& context) {
    const u8* const bytes = window.bytes.data();
    if (window.valid != max_instruction_length || context.mode != CodeMode::bits64) [[unlikely]] {
        return detail::decode_any_store(window, frame, context);
    }
    constexpr u32 without_rxb = 0xf8;  // of a REX prefix
    const u32 head = detail::read_at<u32>(bytes);
    if (!detail::is_register_form(bytes[2])) {
        if ((head & (0xff00 | without_rxb)) == 0x8948) return quick_store(mov, false, false, bytes, 2, bytes[0], frame);
        if ((head & (0xff00 | without_rxb)) == 0x8748) return quick_store(xchg, false, false, bytes, 2, bytes[0], frame);
    }
    if ((head & (0xff00ff | without_rxb << 8)) == 0x0f48f0 && !detail::is_register_form(bytes[4])) {
        const u8 opcode = bytes[3];
        const unsigned operation = bytes[4] & 0x38;
        if (opcode == 0xb1) return quick_store(cmpxchg, true, false, bytes, 4, bytes[1], frame);
        if (opcode == 0xb3) return quick_store(btr, true, false, bytes, 4, bytes[1], frame);
        if (opcode == 0xab) return quick_store(bts, true, false, bytes, 4, bytes[1], frame);
        if (opcode == 0xba && operation == 0x30) return quick_store(btr, true, true, bytes, 4, bytes[1], frame);
        if (opcode == 0xba && operation == 0x28) return quick_store(bts, true, true, bytes, 4, bytes[1], frame);
    }
    if (bytes[0] == 0xf0) {
        const bool has_rex = (bytes[1] & 0xf0) == 0x40;
        const u64 position = 2 + u64{has_rex};
        const u8 modrm = bytes[position];
        if (bytes[position - 1] == 0x80 && !detail::is_register_form(modrm) &&
            ((modrm & 0x38) == 0x20 || (modrm & 0x38) == 0x08)) {
            const StoreKind kind = (modrm & 0x38) == 0x20 ? logic_and : logic_or;
            return quick_store(kind, true, true, bytes, position, has_rex ? bytes[1] : 0, frame);
        }
    }
    return detail::decode_any_store(window, frame, context);
}

}  // namespace xylem::emul
