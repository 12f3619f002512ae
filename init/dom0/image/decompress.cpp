// SPDX-License-Identifier: MIT
#define ZLIB_CONST
#define ZSTD_STATIC_LINKING_ONLY  // contexts in memory of ours
#include "init/dom0/image/decompress.hpp"

#include <lz4.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "init/dom0/image/bytes.hpp"
#include "init/dom0/image/lzma_common.hpp"

namespace xylem::image {

using enum ImageFault;

namespace {

constexpr u64 tables = 256 * kib;  // more than any of the libraries takes besides its window
constexpr usize lzma_header = 13;  // lzma-alone: properties u8, window u32, unpacked size u64 (all ones: unknown)
constexpr usize lzma_window_at = 1;
constexpr u64 smallest_lzma_window = 4096;
constexpr u32 lz4_legacy_magic = 0x184c2102;
constexpr usize lz4_block = 8 * mib;  // unpacked bytes of each block but the last

void* take_for_zlib(voidpf scratch, uInt count, uInt size) {
    return static_cast<Scratch*>(scratch)->take(u64{count} * size);
}
void give_nothing_back(voidpf, voidpf) {}

ImageResult<usize> decompress_gzip(std::span<const u8> in, std::span<u8> out, Scratch& scratch) {
    if (in.size() > UINT32_MAX || out.size() > UINT32_MAX)
        return image_fail(unsupported, "the gzip payload is larger than 4 GiB");
    z_stream stream{};
    stream.zalloc = take_for_zlib;
    stream.zfree = give_nothing_back;
    stream.opaque = &scratch;
    stream.next_in = in.data();
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(out.size());
    constexpr int gzip_wrapper = 16;
    if (inflateInit2(&stream, gzip_wrapper + MAX_WBITS) != Z_OK)
        return image_fail(no_memory, "there is not enough scratch memory for the gzip payload");
    switch (inflate(&stream, Z_FINISH)) {
        case Z_STREAM_END: break;
        case Z_MEM_ERROR: return image_fail(no_memory, "there is not enough scratch memory for the gzip payload");
        case Z_OK:
        case Z_BUF_ERROR:
            if (stream.avail_in == 0) return image_fail(truncated, "the gzip payload is truncated");
            return image_fail(corrupt, "the gzip payload is corrupt (it is longer than its length says)");
        default: return image_fail(corrupt, "the gzip payload is corrupt");
    }
    if (stream.avail_in != 0) return image_fail(corrupt, "bytes follow the gzip payload");
    return out.size() - stream.avail_out;
}

ImageResult<usize> decompress_zstd(std::span<const u8> in, std::span<u8> out, Scratch& scratch) {
    const auto workspace = scratch.take_rest();
    ZSTD_DCtx* const context = ZSTD_initStaticDCtx(workspace.data(), workspace.size());
    if (context == nullptr) return image_fail(no_memory, "there is not enough scratch memory for the zstd payload");
    const usize got = ZSTD_decompressDCtx(context, out.data(), out.size(), in.data(), in.size());
    switch (ZSTD_getErrorCode(got)) {
        case ZSTD_error_no_error: return got;
        case ZSTD_error_srcSize_wrong: return image_fail(truncated, "the zstd payload is truncated");
        case ZSTD_error_checksum_wrong: return image_fail(corrupt, "the zstd payload is corrupt (its checksum does not match)");
        case ZSTD_error_dstSize_tooSmall:
            return image_fail(corrupt, "the zstd payload is corrupt (it is longer than its length says)");
        case ZSTD_error_frameParameter_unsupported:
        case ZSTD_error_version_unsupported:
            return image_fail(unsupported, "the zstd payload uses options that are not supported");
        case ZSTD_error_memory_allocation:
            return image_fail(no_memory, "there is not enough scratch memory for the zstd payload");
        default: return image_fail(corrupt, "the zstd payload is corrupt");
    }
}

// The legacy frame: a magic number, then blocks, each behind its packed length; it ends where the input ends [lz4 frame format].
ImageResult<usize> decompress_lz4(std::span<const u8> in, std::span<u8> out) {
    if (in.size() < sizeof(u32)) return image_fail(truncated, "the lz4 payload is truncated");
    if (read_at<u32>(in, 0) != lz4_legacy_magic) return image_fail(corrupt, "the lz4 payload is corrupt (no lz4 header)");
    usize at = sizeof(u32), written = 0;
    while (at != in.size()) {
        if (in.size() - at < sizeof(u32)) return image_fail(truncated, "the lz4 payload is truncated");
        const u32 length = read_at<u32>(in, at);
        at += sizeof(u32);
        if (length == lz4_legacy_magic) continue;  // another frame may follow directly
        if (length == 0 || length > LZ4_COMPRESSBOUND(lz4_block)) return image_fail(corrupt, "the lz4 payload is corrupt");
        if (length > in.size() - at) return image_fail(truncated, "the lz4 payload is truncated");
        const auto room = out.subspan(written, std::min(lz4_block, out.size() - written));
        const int got = LZ4_decompress_safe(reinterpret_cast<const char*>(in.data() + at), reinterpret_cast<char*>(room.data()),
                                            static_cast<int>(length), static_cast<int>(room.size()));
        if (got < 0) return image_fail(corrupt, "the lz4 payload is corrupt");
        at += length;
        written += static_cast<usize>(got);
    }
    return written;
}

u64 lzma_alone_window(std::span<const u8> in) {
    return in.size() < lzma_header ? smallest_lzma_window : read_at<u32>(in, lzma_window_at);
}

ImageResult<usize> decompress_lzma(std::span<const u8> in, std::span<u8> out, Scratch& scratch) {
    if (in.size() < lzma_header) return image_fail(truncated, "the lzma payload is truncated");
    const lzma_allocator allocator = lzma_allocator_of(scratch);
    lzma_stream stream = LZMA_STREAM_INIT;
    stream.allocator = &allocator;
    if (lzma_alone_decoder(&stream, UINT64_MAX) != LZMA_OK)
        return image_fail(no_memory, "there is not enough scratch memory for the lzma payload");

    // A window larger than the output is never filled: ask for less memory than the header does.
    u8 header[lzma_header];
    std::copy_n(in.begin(), lzma_header, header);
    const u64 useful = std::max<u64>(out.size(), smallest_lzma_window);
    if (lzma_alone_window(in) > useful) {
        const u32 window = std::bit_ceil(static_cast<u32>(useful));  // liblzma accepts 2^n and 2^n + 2^(n-1)
        __builtin_memcpy(header + lzma_window_at, &window, sizeof window);
    }
    stream.next_out = out.data();
    stream.avail_out = out.size();
    stream.next_in = header;
    stream.avail_in = lzma_header;
    lzma_ret r = lzma_code(&stream, LZMA_RUN);
    stream.next_in = in.data() + lzma_header;
    stream.avail_in = in.size() - lzma_header;
    while (r == LZMA_OK) r = lzma_code(&stream, LZMA_FINISH);

    switch (r) {
        case LZMA_STREAM_END: break;
        case LZMA_MEM_ERROR: return image_fail(no_memory, "there is not enough scratch memory for the lzma payload");
        case LZMA_OPTIONS_ERROR: return image_fail(unsupported, "the lzma payload uses options that are not supported");
        case LZMA_BUF_ERROR:
            if (stream.avail_in == 0) return image_fail(truncated, "the lzma payload is truncated");
            return image_fail(corrupt, "the lzma payload is corrupt (it is longer than its length says)");
        default: return image_fail(corrupt, "the lzma payload is corrupt");
    }
    if (stream.avail_in != 0) return image_fail(corrupt, "bytes follow the lzma payload");
    return static_cast<usize>(stream.total_out);
}

}  // namespace

lzma_allocator lzma_allocator_of(Scratch& scratch) {
    lzma_allocator a{};
    a.opaque = &scratch;
    a.alloc = [](void* opaque, size_t count, size_t size) -> void* {
        u64 bytes = 0;
        if (__builtin_mul_overflow(u64{count}, u64{size}, &bytes)) return nullptr;
        return static_cast<Scratch*>(opaque)->take(bytes);
    };
    a.free = [](void*, void*) {};
    return a;
}

u64 scratch_bytes(const Payload& payload) {
    const auto limited = [&](u64 window) { return std::min(window, std::bit_ceil(payload.unpacked_size)) + tables; };
    switch (payload.format) {
        case Format::elf: return 0;
        case Format::xz: return limited(xz_window(payload.bytes));
        case Format::lzma: return limited(std::max(lzma_alone_window(payload.bytes), smallest_lzma_window));
        case Format::gzip:
        case Format::zstd:
        case Format::lz4: return tables;
    }
    return tables;
}

ImageResult<usize> decompress(Format format, std::span<const u8> in, std::span<u8> out, Scratch& scratch) {
    scratch.reset();
    if (in.empty()) return image_fail(truncated, "the kernel's payload is empty");
    switch (format) {
        case Format::elf:
            if (in.size() > out.size()) return image_fail(corrupt, "the ELF file is longer than its length says");
            std::copy(in.begin(), in.end(), out.begin());
            return in.size();
        case Format::gzip: return decompress_gzip(in, out, scratch);
        case Format::xz: return decompress_xz(in, out, scratch);
        case Format::zstd: return decompress_zstd(in, out, scratch);
        case Format::lz4: return decompress_lz4(in, out);
        case Format::lzma: return decompress_lzma(in, out, scratch);
    }
    return image_fail(unsupported, "unknown compression");
}

ImageResult<std::span<u8>> unpack(const Payload& payload, std::span<u8> out, Scratch& scratch) {
    if (out.size() < payload.unpacked_size) return image_fail(no_memory, "there is not enough memory for the unpacked kernel");
    const auto room = out.first(payload.unpacked_size);
    const usize got = TRY(decompress(payload.format, payload.bytes, room, scratch));
    if (got != payload.unpacked_size) return image_fail(corrupt, "the kernel unpacks to fewer bytes than its length says");
    return room;
}

}  // namespace xylem::image
