// SPDX-License-Identifier: MIT
// Builds small kernels, bzImages and payloads for the tests of init/dom0/image.
#pragma once

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "abi/elfnote.hpp"
#include "hw/boot/elf.hpp"
#include "init/dom0/image/decompress.hpp"

namespace xylem::image::testing {

using Bytes = std::vector<u8>;

template <class T>
void append(Bytes& to, const T& value) {
    const auto* p = reinterpret_cast<const u8*>(&value);
    to.insert(to.end(), p, p + sizeof value);
}
template <class T>
void put(Bytes& to, usize at, const T& value) {
    std::memcpy(to.data() + at, &value, sizeof value);
}

// Bytes that look like x86 code: many E8/E9 opcodes, many sign bytes, some repetition.
inline Bytes code_like(usize size, unsigned seed = 1) {
    std::mt19937 random(seed);
    Bytes out(size);
    for (usize i = 0; i < size; ++i) {
        const u32 dice = random() % 16;
        out[i] = dice < 2 ? 0xe8 : dice < 4 ? 0xe9 : dice < 8 ? 0x00 : dice < 10 ? 0xff : static_cast<u8>(random());
        if (dice == 15 && i > 64)
            for (usize n = 0; n < 24 && i + 1 < size; ++n, ++i) out[i + 1] = out[i - 40];
    }
    return out;
}

inline void require(bool holds) {
    if (!holds) throw std::runtime_error("a test payload could not be made");
}

inline Bytes pack_gzip(const Bytes& in) {
    z_stream s{};
    require(deflateInit2(&s, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    Bytes out(deflateBound(&s, in.size()));
    s.next_in = const_cast<Bytef*>(in.data());
    s.avail_in = static_cast<uInt>(in.size());
    s.next_out = out.data();
    s.avail_out = static_cast<uInt>(out.size());
    require(deflate(&s, Z_FINISH) == Z_STREAM_END);
    out.resize(s.total_out);
    deflateEnd(&s);
    return out;
}

inline Bytes run_encoder(lzma_stream& s, const Bytes& in) {
    Bytes out(in.size() * 2 + 4096);
    s.next_in = in.data();
    s.avail_in = in.size();
    s.next_out = out.data();
    s.avail_out = out.size();
    require(lzma_code(&s, LZMA_FINISH) == LZMA_STREAM_END);
    out.resize(s.total_out);
    lzma_end(&s);
    return out;
}

inline Bytes pack_xz(const Bytes& in, lzma_check check = LZMA_CHECK_CRC32, bool x86 = true, u32 x86_start = 0) {
    lzma_options_lzma options;
    require(!lzma_lzma_preset(&options, 1));
    lzma_options_bcj bcj{x86_start};
    lzma_filter filters[3] = {
        {LZMA_FILTER_X86, x86_start != 0 ? &bcj : nullptr}, {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
    lzma_stream s = LZMA_STREAM_INIT;
    require(lzma_stream_encoder(&s, x86 ? filters : filters + 1, check) == LZMA_OK);
    return run_encoder(s, in);
}

inline Bytes pack_lzma(const Bytes& in) {
    lzma_options_lzma options;
    require(!lzma_lzma_preset(&options, 1));
    lzma_stream s = LZMA_STREAM_INIT;
    require(lzma_alone_encoder(&s, &options) == LZMA_OK);
    return run_encoder(s, in);
}

inline Bytes pack_zstd(const Bytes& in) {
    ZSTD_CCtx* const c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    Bytes out(ZSTD_compressBound(in.size()));
    const usize n = ZSTD_compress2(c, out.data(), out.size(), in.data(), in.size());
    ZSTD_freeCCtx(c);
    require(!ZSTD_isError(n));
    out.resize(n);
    return out;
}

inline Bytes pack_lz4(const Bytes& in, usize block = 8 * mib) {
    Bytes out;
    append(out, u32{0x184c2102});
    for (usize at = 0; at < in.size(); at += block) {
        const int size = static_cast<int>(std::min(block, in.size() - at));
        Bytes packed(static_cast<usize>(LZ4_compressBound(size)));
        const int n = LZ4_compress_default(reinterpret_cast<const char*>(in.data() + at), reinterpret_cast<char*>(packed.data()),
                                           size, static_cast<int>(packed.size()));
        require(n > 0);
        append(out, static_cast<u32>(n));
        out.insert(out.end(), packed.begin(), packed.begin() + n);
    }
    return out;
}

inline Bytes pack(Format format, const Bytes& in) {
    switch (format) {
        case Format::elf: return in;
        case Format::gzip: return pack_gzip(in);
        case Format::xz: return pack_xz(in);
        case Format::zstd: return pack_zstd(in);
        case Format::lz4: return pack_lz4(in);
        case Format::lzma: return pack_lzma(in);
    }
    return {};
}

// A bzImage around a packed payload; the length word is appended as the kernel's build does it (not for gzip).
inline Bytes bzimage(Bytes payload, usize unpacked, bool length_word = true) {
    if (length_word) append(payload, static_cast<u32>(unpacked));
    Bytes out(3 * 512 + 64);
    out[0x1f1] = 2;
    put(out, 0x1fe, u16{0xaa55});
    put(out, 0x202, u32{0x53726448});
    put(out, 0x206, u16{0x020f});
    put(out, 0x248, u32{64});
    put(out, 0x24c, static_cast<u32>(payload.size()));
    out.insert(out.end(), payload.begin(), payload.end());
    out.resize(out.size() + 100, 0xcc);  // what follows the payload in a real image
    return out;
}

inline void add_note(Bytes& to, u32 type, const Bytes& description, const char* owner = "Xen") {
    append(to, boot::elf::NoteHeader{static_cast<u32>(std::strlen(owner) + 1), static_cast<u32>(description.size()), type});
    to.insert(to.end(), owner, owner + std::strlen(owner) + 1);
    to.resize(align_up<usize>(to.size(), 4));
    to.insert(to.end(), description.begin(), description.end());
    to.resize(align_up<usize>(to.size(), 4));
}
inline Bytes number(u64 n) {
    Bytes b;
    append(b, n);
    return b;
}
inline Bytes text(const char* t) {
    return Bytes(t, t + std::strlen(t) + 1);
}

// A kernel of two segments at 16 MiB and 17 MiB, the second with a zeroed tail, and notes like Linux's. Change, then build().
struct KernelMaker {
    u64 virt_base = 0xffff'ffff'8000'0000;
    u64 entry = 0xffff'ffff'8100'0040;
    Bytes extra;  // more notes; a repeated one wins
    bool with_entry = true, with_base = true, notes_in_section = false;
    const char* version = "xen-3.0";
    usize text_size = 5000;
    boot::elf::ProgramHeader text_segment{boot::elf::segment_load, 5, 0x1000, 0, 16 * mib, 0, 0, 0x1000};
    boot::elf::ProgramHeader data_segment{boot::elf::segment_load, 6, 0, 0, 17 * mib, 100, 9000, 0x1000};
    boot::elf::Header header{{0x7f, 'E', 'L', 'F', 2, 1, 1}, 2, 62, 1, 0x1000000, 64, 0, 0, 64, 56, 3, 64, 0, 0};

    Bytes notes() const {
        Bytes n;
        add_note(n, XEN_ELFNOTE_GUEST_OS, text("linux"));
        add_note(n, 3, Bytes(20, 0xaa), "GNU");
        add_note(n, XEN_ELFNOTE_XEN_VERSION, text(version));
        if (with_base) add_note(n, XEN_ELFNOTE_VIRT_BASE, number(virt_base));
        if (with_entry) add_note(n, XEN_ELFNOTE_ENTRY, number(entry));
        add_note(n, XEN_ELFNOTE_INIT_P2M, number(0x80'0000'0000));
        add_note(n, XEN_ELFNOTE_FEATURES, text("!writable_page_tables|pae_pgdir_above_4gb|some_novelty"));
        add_note(n, XEN_ELFNOTE_SUPPORTED_FEATURES, {0x01, 0x88, 0, 0});
        add_note(n, XEN_ELFNOTE_PAE_MODE, text("yes"));
        add_note(n, XEN_ELFNOTE_HV_START_LOW, number(0xffff'8000'0000'0000));
        Bytes valid = number(1);
        append(valid, u64{1});
        add_note(n, XEN_ELFNOTE_L1_MFN_VALID, valid);
        add_note(n, XEN_ELFNOTE_MOD_START_PFN, {1, 0, 0, 0});
        n.insert(n.end(), extra.begin(), extra.end());
        return n;
    }

    Bytes build() const {
        using namespace boot::elf;
        const Bytes n = notes();
        Header h = header;
        ProgramHeader t = text_segment, d = data_segment;
        t.filesz = t.memsz = text_size;
        d.offset = t.offset + text_size;
        ProgramHeader note{segment_note, 4, d.offset + d.filesz, 0, 0, n.size(), n.size(), 4};
        Bytes out(t.offset);
        const Bytes code = code_like(text_size + d.filesz);
        out.insert(out.end(), code.begin(), code.end());
        out.insert(out.end(), n.begin(), n.end());
        if (notes_in_section) {
            h.phnum = 2;
            h.shoff = out.size();
            h.shnum = 2;
            append(out, SectionHeader{});
            append(out, SectionHeader{0, section_note, 0, 0, note.offset, note.filesz, 0, 0, 4, 0});
        }
        put(out, 0, h);
        put(out, 64, t);
        put(out, 64 + 56, d);
        put(out, 64 + 2 * 56, note);
        return out;
    }
};

}  // namespace xylem::image::testing
