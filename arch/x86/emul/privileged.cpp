// SPDX-License-Identifier: MIT
#include "arch/x86/emul/privileged.hpp"

#include "arch/x86/emul/operand.hpp"

namespace xylem::emul {
namespace {

using detail::Code;
using detail::Prefixes;
namespace prefix = detail::prefix;
using enum PrivilegedKind;

// One decoding: where we are in the bytes, and what the prefixes said.
class Decoder {
   public:
    Decoder(const FetchWindow& window, const Frame& frame, const AddressContext& context)
        : code_(window), frame_(frame), context_(context) {}

    std::expected<PrivilegedOp, DecodeError> run() {
        if (context_.mode == CodeMode::other) return std::unexpected(DecodeError::unhandled);
        const bool known = read_forced_cpuid() || (read_prefixes() && read_opcode());
        if (!known || !code_.complete(position_)) return std::unexpected(code_.refuse(position_));
        op_.length = static_cast<u8>(position_);
        return op_;
    }

   private:
    bool code64() const { return context_.mode == CodeMode::bits64; }
    u8 next() { return code_.at(position_++); }
    bool is(PrivilegedKind kind) {
        op_.kind = kind;
        return true;
    }
    unsigned operand_size() const { return prefixes_ & prefix::operand16 ? 2 : 4; }

    bool read_forced_cpuid();
    bool read_prefixes();
    bool read_opcode();
    bool read_two_byte_opcode();
    bool read_port(u8 opcode);
    bool read_string(u8 opcode);
    bool read_system_register(u8 opcode);
    bool read_group6();
    bool read_group7();
    bool read_group7_register_form(u8 modrm);
    bool read_memory(u8 modrm);

    Code code_;
    const Frame& frame_;
    const AddressContext& context_;
    u64 position_ = 0;
    Prefixes prefixes_ = 0;
    PrivilegedOp op_;
};

// Leaves the position behind the last byte that matched and the first that did not, so that a cut signature is need_more.
bool Decoder::read_forced_cpuid() {
    constexpr std::array<u8, 7> signature = {0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2};
    u64 matched = 0;
    while (matched < signature.size() && code_.at(matched) == signature[matched]) ++matched;
    if (matched < 2) return false;
    position_ = matched == signature.size() ? matched : matched + 1;
    return matched == signature.size() && is(cpuid_forced);
}

// False if nothing can follow: too many prefixes, lock (an invalid opcode with everything here), or ud2 already looked at.
bool Decoder::read_prefixes() {
    if (position_ != 0) return false;
    for (;;) {
        const u8 byte = code_.at(position_);
        if (code64() && (byte & 0xf0) == 0x40) {
            prefixes_ = (prefixes_ & ~prefix::rex_mask) | byte;
        } else {
            const Prefixes more = detail::with_prefix(prefixes_ & ~prefix::rex_mask, byte);
            if (more == detail::no_prefix) break;
            prefixes_ = more;
        }
        if (++position_ == max_instruction_length) return false;
    }
    if (!(prefixes_ & prefix::lock)) return true;
    ++position_;  // the byte that ended the prefixes was looked at
    return false;
}

bool Decoder::read_opcode() {
    const u8 opcode = next();
    switch (opcode) {
        case 0x0f: return read_two_byte_opcode();
        case 0x6c:
        case 0x6d:
        case 0x6e:
        case 0x6f: return read_string(opcode);
        case 0xcd: op_.vector = next(); return is(software_interrupt);
        case 0xe4:
        case 0xe5:
        case 0xe6:
        case 0xe7:
        case 0xec:
        case 0xed:
        case 0xee:
        case 0xef: return read_port(opcode);
        case 0xf4: return is(hlt);
        case 0xfa: return is(cli);
        case 0xfb: return is(sti);
        default: return false;
    }
}

// None of these has a meaning with a repeat prefix, except that f3 turns wbinvd into wbnoinvd.
bool Decoder::read_two_byte_opcode() {
    const u8 opcode = next();
    if (prefixes_ & prefix::any_repeat && opcode != 0x09) return false;
    switch (opcode) {
        case 0x00: return read_group6();
        case 0x01: return read_group7();
        case 0x06: return is(clts);
        case 0x08: return is(invd);
        case 0x09: return is(cache_flush);
        case 0x20:
        case 0x21:
        case 0x22:
        case 0x23: return read_system_register(opcode);
        case 0x30: return is(wrmsr);
        case 0x31: return is(rdtsc);
        case 0x32: return is(rdmsr);
        case 0x33: return is(rdpmc);
        case 0xa2: return is(cpuid);
        default: return false;
    }
}

// Bit 0: wide. Bit 1: out. Bit 3: the port is in dx, else in an immediate byte. REX.W does not make 8 bytes.
bool Decoder::read_port(u8 opcode) {
    op_.size = static_cast<u8>(opcode & 1 ? operand_size() : 1);
    op_.port = opcode & 8 ? static_cast<u16>(frame_.rdx) : next();
    return is(opcode & 2 ? port_out : port_in);
}

// Bit 0: wide. Bit 1: outs. Only the source of outs obeys a segment override.
bool Decoder::read_string(u8 opcode) {
    if (!code64()) return false;
    const bool out = opcode & 2;
    op_.size = static_cast<u8>(opcode & 1 ? operand_size() : 1);
    op_.port = static_cast<u16>(frame_.rdx);
    op_.step = frame_.rflags & rflags::direction ? u64{0} - op_.size : op_.size;
    op_.repeat = prefixes_ & prefix::any_repeat;
    op_.address32 = prefixes_ & prefix::address32;
    if (op_.repeat) op_.count = op_.address32 ? static_cast<u32>(frame_.rcx) : frame_.rcx;
    if (out) {
        if (!detail::segment_usable(prefixes_, context_)) return false;
        op_.linear = detail::linear_of(frame_.rsi, prefixes_, context_);
        return is(string_out);
    }
    op_.linear = detail::linear_of(frame_.rdi, prefixes_ & ~prefix::any_segment, context_);
    return is(string_in);
}

// Bit 0: debug register. Bit 1: write. The mod field is ignored [SDM vol. 2, MOV to/from control registers].
bool Decoder::read_system_register(u8 opcode) {
    constexpr u32 control_registers = 1u << 0 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 8;
    constexpr u32 debug_registers = 0xff;
    const u8 modrm = next();
    const unsigned number = detail::reg_field(modrm, prefixes_);
    const bool debug = opcode & 1;
    if (!((debug ? debug_registers : control_registers) >> number & 1)) return false;
    op_.system_register = static_cast<u8>(number);
    op_.reg = static_cast<u8>(detail::rm_field(modrm, prefixes_));
    op_.size = code64() ? 8 : 4;
    if (opcode & 2) return is(debug ? write_debug : write_control);
    return is(debug ? read_debug : read_control);
}

// sldt, str, lldt, ltr; the rest of the group is unprivileged or does not exist.
bool Decoder::read_group6() {
    const u8 modrm = next();
    if ((modrm >> 3 & 7) > 3) return false;
    return (detail::is_register_form(modrm) || read_memory(modrm)) && is(refused);
}

bool Decoder::read_group7() {
    const u8 modrm = next();
    const unsigned operation = modrm >> 3 & 7;
    const bool in_register = detail::is_register_form(modrm);
    if (in_register && operation != 4 && operation != 6) return read_group7_register_form(modrm);
    if (in_register) {
        op_.reg = static_cast<u8>(detail::rm_field(modrm, prefixes_));
    } else {
        if (!read_memory(modrm)) return false;
        op_.memory = true;
    }
    switch (operation) {
        case 0:
        case 1:
        case 2:
        case 3:
            op_.linear = 0;
            op_.memory = false;
            return is(refused);
        case 4: op_.size = static_cast<u8>(!in_register ? 2 : prefixes_ & prefix::rex_w ? 8 : operand_size()); return is(smsw);
        case 6: op_.size = 2; return is(lmsw);
        case 7: op_.memory = false; return is(invlpg);
        default: return false;
    }
}

bool Decoder::read_group7_register_form(u8 modrm) {
    switch (modrm) {
        case 0xd1: return !(prefixes_ & prefix::operand16) && is(xsetbv);
        case 0xf8: return code64() && is(refused);  // swapgs
        case 0xf9: return is(rdtscp);
        default: return false;
    }
}

bool Decoder::read_memory(u8 modrm) {
    if (!code64() || !detail::segment_usable(prefixes_, context_)) return false;
    op_.linear =
        detail::linear_of(detail::effective_address(code_.start(), position_, modrm, prefixes_, frame_, 0), prefixes_, context_);
    return true;
}

}  // namespace

Right right_of(PrivilegedKind kind) {
    switch (kind) {
        case cpuid_forced:
        case cpuid:
        case rdtsc:
        case rdtscp:
        case rdpmc:
        case smsw: return Right::anyone;
        case rdmsr:
        case wrmsr:
        case read_control:
        case write_control:
        case read_debug:
        case write_debug:
        case clts:
        case lmsw:
        case xsetbv:
        case cache_flush:
        case invd:
        case hlt:
        case invlpg:
        case refused: return Right::guest_kernel;
        case cli:
        case sti: return Right::virtual_iopl;
        case port_in:
        case port_out:
        case string_in:
        case string_out: return Right::port_access;
        case software_interrupt: return Right::gate;
    }
    return Right::guest_kernel;
}

std::expected<PrivilegedOp, DecodeError> decode_privileged(const FetchWindow& window, const Frame& frame,
                                                           const AddressContext& context) {
    return Decoder(window, frame, context).run();
}

void retire_string(const PrivilegedOp& op, u64 done, Frame& frame) {
    const unsigned pointer = op.kind == string_in ? 7 : 6;
    if (detail::step_string(frame, pointer, op.step, done, op.repeat, op.address32)) advance(frame, op.length);
}

}  // namespace xylem::emul
