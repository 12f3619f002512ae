// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "init/dom0/image/bcj_x86.hpp"
#include "tests/unit/init/dom0/image_kernel.hpp"

namespace xylem::image::testing {
namespace {

constexpr Format packed_formats[] = {Format::gzip, Format::xz, Format::zstd, Format::lz4, Format::lzma};

struct Answer {
    ImageResult<usize> got;
    Bytes bytes;
};

Answer run(Format format, const Bytes& in, usize room, usize scratch_size = 1 * mib) {
    // Exact heap blocks: AddressSanitizer sees any access beyond them.
    Bytes out(room), area(scratch_size);
    Scratch scratch(area);
    const Bytes copy(in.begin(), in.end());
    auto got = decompress(format, copy, out, scratch);
    return {got, std::move(out)};
}

std::string why(const Answer& a) {
    return a.got ? "success" : a.got.error().what;
}

TEST(ImageDecompress, EveryFormatComesBack) {
    for (const Format f : packed_formats)
        for (const usize size : {usize{1}, usize{4}, usize{5}, usize{37}, usize{4096}, usize{300'001}}) {
            const Bytes plain = code_like(size, static_cast<unsigned>(size));
            const Answer a = run(f, pack(f, plain), size);
            ASSERT_TRUE(a.got) << int(f) << " " << size << " " << why(a);
            EXPECT_EQ(*a.got, size);
            EXPECT_EQ(a.bytes, plain);
        }
}

TEST(ImageDecompress, XzWithEveryCheckAndFilter) {
    const Bytes plain = code_like(200'000, 7);
    for (const lzma_check check : {LZMA_CHECK_NONE, LZMA_CHECK_CRC32, LZMA_CHECK_CRC64, LZMA_CHECK_SHA256})
        for (const bool x86 : {false, true})
            for (const u32 start : {0u, 0x1000u, 0xffff'f000u}) {
                const Answer a = run(Format::xz, pack_xz(plain, check, x86, start), plain.size());
                ASSERT_TRUE(a.got) << check << x86 << start << why(a);
                EXPECT_EQ(a.bytes, plain);
            }
}

// The filter alone, against liblzma's, on inputs made of little but opcodes and sign bytes.
TEST(ImageDecompress, X86FilterEqualsTheLibrary) {
    std::mt19937 random(3);
    constexpr u8 alphabet[] = {0xe8, 0xe9, 0x00, 0xff, 0xe8, 0xff, 0x12, 0xfe};
    for (int round = 0; round < 3000; ++round) {
        Bytes plain(1 + random() % 200);
        for (u8& b : plain) b = alphabet[random() % std::size(alphabet)];
        lzma_options_lzma options;
        ASSERT_FALSE(lzma_lzma_preset(&options, 0));
        const lzma_filter both[] = {{LZMA_FILTER_X86, nullptr}, {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
        Bytes packed(4096), filtered(plain.size());
        usize packed_size = 0, in_at = 0, out_at = 0;
        ASSERT_EQ(lzma_raw_buffer_encode(both, nullptr, plain.data(), plain.size(), packed.data(), &packed_size, packed.size()),
                  LZMA_OK);
        ASSERT_EQ(lzma_raw_buffer_decode(both + 1, nullptr, packed.data(), &in_at, packed_size, filtered.data(), &out_at,
                                         filtered.size()),
                  LZMA_OK);
        undo_x86_filter(filtered, 0);
        ASSERT_EQ(filtered, plain) << round;
    }
}

TEST(ImageDecompress, EveryTruncationIsTold) {
    const Bytes plain = code_like(3000, 11);
    for (const Format f : packed_formats) {
        const Bytes whole = pack(f, plain);
        for (usize size = 0; size < whole.size(); ++size) {
            const Answer a = run(f, Bytes(whole.begin(), whole.begin() + static_cast<long>(size)), plain.size());
            // An lz4 legacy frame has no end mark: cut between blocks it is merely short, which unpack() notices.
            if (f == Format::lz4 && size == 4) {
                EXPECT_EQ(a.got.value_or(1), 0u);
                continue;
            }
            ASSERT_FALSE(a.got) << int(f) << " " << size;
            // libzstd calls a checksum cut short a wrong one.
            if (f == Format::zstd && size + 4 >= whole.size()) continue;
            EXPECT_EQ(a.got.error().fault, ImageFault::truncated) << int(f) << " " << size << " of " << whole.size() << why(a);
        }
    }
}

TEST(ImageDecompress, NoFlippedByteGoesUnseenWhereThereIsACheck) {
    const Bytes plain = code_like(2000, 13);
    for (const Format f : packed_formats) {
        const Bytes whole = pack(f, plain);
        usize unseen = 0;
        for (usize at = 0; at < whole.size(); ++at) {
            Bytes broken = whole;
            broken[at] ^= 0x55;
            const Answer a = run(f, broken, plain.size());
            if (!a.got) continue;
            const bool checked = f != Format::lz4 && f != Format::lzma;
            EXPECT_TRUE(!checked || a.bytes == plain) << int(f) << " " << at;
            ++unseen;
        }
        if (f == Format::xz) EXPECT_EQ(unseen, 0u);
    }
}

TEST(ImageDecompress, ADamagedChecksumIsNamed) {
    const Bytes plain = code_like(5000, 17);
    Bytes xz = pack_xz(plain);
    const usize index_and_footer = 12 + 12;  // the index of one small block: 8 bytes and its CRC
    xz[xz.size() - index_and_footer - 4] ^= 1;
    const Answer a = run(Format::xz, xz, plain.size());
    ASSERT_FALSE(a.got);
    EXPECT_EQ(a.got.error().fault, ImageFault::corrupt);
    EXPECT_NE(why(a).find("checksum"), std::string::npos) << why(a);

    Bytes zstd = pack_zstd(plain);
    zstd.back() ^= 1;
    EXPECT_NE(why(run(Format::zstd, zstd, plain.size())).find("checksum"), std::string::npos);
}

TEST(ImageDecompress, TooLongForTheLengthIsCorrupt) {
    const Bytes plain = code_like(5000, 19);
    for (const Format f : packed_formats) {
        const Answer a = run(f, pack(f, plain), plain.size() - 1);
        ASSERT_FALSE(a.got) << int(f);
        EXPECT_EQ(a.got.error().fault, ImageFault::corrupt) << int(f) << why(a);
    }
}

TEST(ImageDecompress, TrailingBytesAreRefused) {
    const Bytes plain = code_like(5000, 23);
    for (const Format f : packed_formats) {
        Bytes longer = pack(f, plain);
        longer.insert(longer.end(), 16, 0x99);
        EXPECT_FALSE(run(f, longer, plain.size()).got) << int(f);
    }
}

TEST(ImageDecompress, LittleScratchIsNoMemory) {
    const Bytes plain = code_like(5000, 29);
    for (const Format f : {Format::gzip, Format::xz, Format::zstd, Format::lzma}) {
        const Answer a = run(f, pack(f, plain), plain.size(), 1000);
        ASSERT_FALSE(a.got) << int(f);
        EXPECT_EQ(a.got.error().fault, ImageFault::no_memory) << int(f) << why(a);
    }
}

TEST(ImageDecompress, TheScratchAskedForSuffices) {
    for (const usize size : {usize{100}, usize{70'000}, usize{3'000'000}}) {
        const Bytes plain = code_like(size, 31);
        for (const Format f : packed_formats) {
            const Bytes module = bzimage(pack(f, plain), plain.size(), f != Format::gzip);
            const auto payload = find_payload(module);
            ASSERT_TRUE(payload);
            EXPECT_EQ(payload->unpacked_size, plain.size());
            Bytes area(scratch_bytes(*payload)), out(plain.size());
            Scratch scratch(area);
            const auto got = unpack(*payload, out, scratch);
            ASSERT_TRUE(got) << int(f) << got.error().what;
            EXPECT_EQ(out, plain);
        }
    }
}

TEST(ImageDecompress, Lz4OfSeveralBlocks) {
    const Bytes plain = code_like(9 * mib, 37);
    const Answer a = run(Format::lz4, pack_lz4(plain), plain.size());
    ASSERT_TRUE(a.got) << why(a);
    EXPECT_EQ(a.bytes, plain);
}

TEST(ImageDecompress, FewerBytesThanTheLengthIsCorrupt) {
    const Bytes plain = code_like(5000, 41);
    const Bytes module = bzimage(pack_xz(plain), plain.size() + 1);
    const auto payload = find_payload(module);
    ASSERT_TRUE(payload);
    Bytes area(scratch_bytes(*payload)), out(plain.size() + 1);
    Scratch scratch(area);
    const auto got = unpack(*payload, out, scratch);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().fault, ImageFault::corrupt);
}

ImageFault fault_of(const Bytes& module) {
    const auto payload = find_payload(module);
    EXPECT_FALSE(payload);
    return payload ? ImageFault{} : payload.error().fault;
}

TEST(ImageBzimage, FaultsAreToldApart) {
    const Bytes good = bzimage(pack_xz(code_like(5000)), 5000);
    ASSERT_TRUE(find_payload(good));
    EXPECT_EQ(find_payload(good)->format, Format::xz);

    EXPECT_EQ(fault_of({}), ImageFault::truncated);
    EXPECT_EQ(fault_of(code_like(5000)), ImageFault::not_a_kernel);
    EXPECT_EQ(fault_of(Bytes(good.begin(), good.begin() + 0x240)), ImageFault::truncated);
    EXPECT_EQ(fault_of(Bytes(good.begin(), good.end() - 101)), ImageFault::truncated);

    Bytes old = good;
    put(old, 0x206, u16{0x0207});
    EXPECT_EQ(fault_of(old), ImageFault::unsupported);
    Bytes far = good;
    put(far, 0x248, u32{0xffff'fff0});
    EXPECT_EQ(fault_of(far), ImageFault::truncated);
    Bytes empty = good;
    put(empty, 0x24c, u32{0});
    EXPECT_EQ(fault_of(empty), ImageFault::corrupt);
    EXPECT_EQ(fault_of(bzimage(pack_xz(code_like(5000)), 0xffff'ffff)), ImageFault::corrupt);
    EXPECT_EQ(fault_of(bzimage({'B', 'Z', 'h', '9'}, 100)), ImageFault::unsupported);
    EXPECT_EQ(fault_of(bzimage({1, 2, 3, 4}, 100)), ImageFault::unsupported);
}

TEST(ImageBzimage, PlainAndGzippedElf) {
    const Bytes elf = KernelMaker{}.build();
    const auto plain = find_payload(elf);
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->format, Format::elf);
    EXPECT_EQ(plain->unpacked_size, elf.size());
    const Bytes packed = pack_gzip(elf);
    const auto zipped = find_payload(packed);
    ASSERT_TRUE(zipped);
    EXPECT_EQ(zipped->format, Format::gzip);
    EXPECT_EQ(zipped->unpacked_size, elf.size());
}

}  // namespace
}  // namespace xylem::image::testing
