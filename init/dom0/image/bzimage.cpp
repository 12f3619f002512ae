// SPDX-License-Identifier: MIT
#include "init/dom0/image/bzimage.hpp"

#include <algorithm>
#include <optional>

#include "hw/boot/bzimage.hpp"
#include "hw/boot/elf.hpp"
#include "init/dom0/image/bytes.hpp"

namespace xylem::image {
namespace {

using enum ImageFault;
namespace layout = boot::bzimage;

struct Signature {
    u8 bytes[6];
    u8 length;
    Format format;
};
constexpr Signature signatures[] = {
    {{0x7f, 'E', 'L', 'F'}, 4, Format::elf},        {{0x1f, 0x8b, 0x08}, 3, Format::gzip},
    {{0xfd, '7', 'z', 'X', 'Z', 0}, 6, Format::xz}, {{0x28, 0xb5, 0x2f, 0xfd}, 4, Format::zstd},
    {{0x02, 0x21, 0x4c, 0x18}, 4, Format::lz4},  // the legacy frame; the modern one is not used for kernels
    {{0x5d, 0x00, 0x00}, 3, Format::lzma},       // lc=3 lp=0 pb=2 and a dictionary of at least 64 KiB
};
constexpr Signature unsupported_signatures[] = {
    {{'B', 'Z', 'h'}, 3, {}}, {{0x89, 'L', 'Z', 'O'}, 4, {}}, {{0x04, 0x22, 0x4d, 0x18}, 4, {}},  // modern lz4 frame
};

bool starts_with(std::span<const u8> bytes, const Signature& s) {
    return bytes.size() >= s.length && std::equal(s.bytes, s.bytes + s.length, bytes.begin());
}

std::optional<Format> recognise(std::span<const u8> bytes) {
    for (const Signature& s : signatures)
        if (starts_with(bytes, s)) return s.format;
    return std::nullopt;
}

ImageResult<Payload> measured(Format format, std::span<const u8> bytes) {
    if (format == Format::elf) {
        if (bytes.size() > longest_image) return image_fail(unsupported, "the ELF file is larger than 1 GiB");
        return Payload{format, bytes, bytes.size()};
    }
    if (bytes.size() < sizeof(u32)) return image_fail(truncated, "the compressed kernel is too short to hold its length");
    const usize body = bytes.size() - sizeof(u32);
    const u64 size = read_at<u32>(bytes, body);
    if (size == 0 || size > longest_image)
        return image_fail(corrupt, "the kernel's unpacked length is implausible: the module is damaged or cut off");
    // gzip's own trailer ends in the length [RFC 1952]; the others have it appended by the kernel's build.
    return Payload{format, format == Format::gzip ? bytes : bytes.first(body), size};
}

bool is_bzimage(std::span<const u8> module) {
    return module.size() >= layout::magic_at + sizeof(u32) && read_at<u16>(module, layout::boot_flag_at) == layout::boot_flag &&
           read_at<u32>(module, layout::magic_at) == layout::magic;
}

ImageResult<Payload> bzimage_payload(std::span<const u8> module) {
    if (module.size() < layout::header_end) return image_fail(truncated, "the bzImage ends inside its setup header");
    if (read_at<u16>(module, layout::version_at) < layout::first_with_payload)
        return image_fail(unsupported, "the bzImage's boot protocol is older than 2.08 and names no payload");
    const u8 setup_sects = module[layout::setup_sects_at];
    const u64 sectors = u64{setup_sects == 0 ? layout::setup_sects_if_zero : setup_sects} + 1;
    const u64 at = sectors * layout::sector_size + read_at<u32>(module, layout::payload_offset_at);
    const u64 length = read_at<u32>(module, layout::payload_length_at);
    if (length == 0) return image_fail(corrupt, "the bzImage's payload is empty");
    if (!range_fits(at, length, module.size())) return image_fail(truncated, "the bzImage ends before its payload does");

    const auto bytes = module.subspan(at, length);
    if (const auto format = recognise(bytes)) return measured(*format, bytes);
    for (const Signature& s : unsupported_signatures)
        if (starts_with(bytes, s))
            return image_fail(unsupported, "the kernel is packed with bzip2, lzo or a modern lz4 frame, which are not supported");
    return image_fail(unsupported, "the bzImage's payload is in no known format");
}

}  // namespace

ImageResult<Payload> find_payload(std::span<const u8> module) {
    if (module.empty()) return image_fail(truncated, "the module is empty");
    if (is_bzimage(module)) return bzimage_payload(module);
    const auto format = recognise(module);
    if (format == Format::elf || format == Format::gzip) return measured(*format, module);
    return image_fail(not_a_kernel, "the module is neither a bzImage nor an ELF file");
}

}  // namespace xylem::image
