// SPDX-License-Identifier: MIT
// Hostile instruction bytes and registers for both decoders. Checked: no crash, lengths of 1..15 within the valid bytes, bytes
// behind the valid ones have no influence, the short cut of decode_store agrees with the full decoder, results fit their size,
// and every shorter window says need_more.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "arch/x86/emul/privileged.hpp"
#include "arch/x86/emul/store.hpp"

namespace {

using namespace xylem;
using namespace xylem::emul;

void require(bool condition) {
    if (!condition) abort();
}

struct Input {
    FetchWindow window;
    Frame frame;
    AddressContext context;
    u64 old_value;
};

template <class T>
void take(const u8*& data, size_t& left, T& value) {
    const size_t n = std::min(left, sizeof(value));
    std::memcpy(&value, data, n);
    data += n;
    left -= n;
}

Input make_input(const u8* data, size_t left) {
    Input input{};
    u8 control = 0;
    take(data, left, control);
    take(data, left, input.window.bytes);
    input.window.valid = static_cast<u8>(control & 1 ? 15 : (control >> 4));
    input.context.mode = (control & 0x0e) == 2 ? CodeMode::bits32 : (control & 0x0e) == 4 ? CodeMode::other : CodeMode::bits64;
    input.context.fs_usable = (control & 0x0e) != 6;
    input.context.gs_usable = (control & 0x0e) != 8;
    take(data, left, input.old_value);
    take(data, left, input.frame);
    take(data, left, input.context.fs_base);
    take(data, left, input.context.gs_base);
    return input;
}

FetchWindow with_other_tail(FetchWindow window) {
    for (size_t i = window.valid; i < window.bytes.size(); ++i) window.bytes[i] = static_cast<u8>(~window.bytes[i] * 7 + i);
    return window;
}

void same(const StoreOp& a, const StoreOp& b) {
    require(a.linear == b.linear && a.operand == b.operand && a.kind == b.kind && a.size == b.size && a.length == b.length);
    require(a.locked == b.locked && a.repeat == b.repeat && a.address32 == b.address32);
    if (a.kind == StoreKind::xchg || a.kind == StoreKind::xadd) require(a.source == b.source && a.high_byte == b.high_byte);
    if (a.kind == StoreKind::cmpxchg) require(a.expected == b.expected);
}

template <class Decode>
auto check_decoder(const Input& input, Decode decode) {
    const auto result = decode(input.window);
    const auto again = decode(with_other_tail(input.window));
    require(result.has_value() == again.has_value());
    if (!result) {
        require(result.error() == again.error());
        require(input.window.valid < 15 || result.error() == DecodeError::unhandled);
        return result;
    }
    require(result->length >= 1 && result->length <= 15 && result->length <= input.window.valid);
    require(result->length == again->length && result->linear == again->linear && result->kind == again->kind);
    FetchWindow shorter = input.window;
    while (shorter.valid-- > 0) {
        const auto cut = decode(shorter);
        if (shorter.valid >= result->length)
            require(cut.has_value() && cut->length == result->length);
        else
            require(!cut && cut.error() == DecodeError::need_more);
        if (shorter.valid == 0) break;
    }
    return result;
}

void check_store(const Input& input) {
    const auto quick = check_decoder(input, [&](const FetchWindow& w) { return decode_store(w, input.frame, input.context); });
    const auto full = detail::decode_any_store(input.window, input.frame, input.context);
    require(quick.has_value() == full.has_value());
    if (!quick) return require(quick.error() == full.error());
    same(*quick, *full);
    const StoreOp& op = *quick;
    require(op.kind != StoreKind::none && (op.size == 1 || op.size == 2 || op.size == 4 || op.size == 8));
    require((op.operand & ~mask_of(op.size)) == 0 && op.source < 16);
    const u64 old_value = input.old_value & mask_of(op.size);
    const StoreResult result = apply(op, old_value);
    require((result.value & ~mask_of(op.size)) == 0);
    require(apply(op, old_value).value == result.value);
    Frame frame = input.frame;
    retire(op, old_value, frame);
    Frame same_frame = input.frame;
    retire(*full, old_value, same_frame);
    require(std::memcmp(&frame, &same_frame, sizeof(frame)) == 0);
    require(frame.rip == input.frame.rip + op.length || (op.repeat && frame.rip == input.frame.rip));
    require(((frame.rflags ^ input.frame.rflags) & ~(rflags::arithmetic | rflags::resume)) == 0);
    require(frame.cs == input.frame.cs && frame.ss == input.frame.ss);
}

void check_privileged(const Input& input) {
    const auto decoded =
        check_decoder(input, [&](const FetchWindow& w) { return decode_privileged(w, input.frame, input.context); });
    if (!decoded) return;
    const PrivilegedOp& op = *decoded;
    require(op.reg < 16 && op.system_register < 16 && op.size <= 8);
    (void)right_of(op.kind);
    if (op.kind == PrivilegedKind::string_in || op.kind == PrivilegedKind::string_out) {
        require(op.size == 1 || op.size == 2 || op.size == 4);
        Frame frame = input.frame;
        retire_string(op, std::min<u64>(op.count, input.old_value), frame);
        require(frame.rip == input.frame.rip || frame.rip == input.frame.rip + op.length);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
    const Input input = make_input(data, size);
    check_store(input);
    check_privileged(input);
    return 0;
}
