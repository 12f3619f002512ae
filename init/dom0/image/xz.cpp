// SPDX-License-Identifier: MIT
// The .xz container is walked here, block by block, with liblzma's parts. The reason is speed: liblzma's x86 filter costs nine
// instructions per byte of kernel, ours about one, so for the filter chain of kernels (x86, LZMA2) liblzma decodes LZMA2 alone.
#include <algorithm>

#include "init/dom0/image/bcj_x86.hpp"
#include "init/dom0/image/bytes.hpp"
#include "init/dom0/image/decompress.hpp"
#include "init/dom0/image/lzma_common.hpp"

namespace xylem::image {
namespace {

using enum ImageFault;

constexpr u32 smallest_window = 4096;

std::unexpected<ImageError> failed(lzma_ret why) {
    switch (why) {
        case LZMA_MEM_ERROR: return image_fail(no_memory, "there is not enough scratch memory for the xz payload");
        case LZMA_OPTIONS_ERROR: return image_fail(unsupported, "the xz payload uses options that are not supported");
        case LZMA_FORMAT_ERROR: return image_fail(corrupt, "the xz payload is corrupt (no xz header)");
        default: return image_fail(corrupt, "the xz payload is corrupt");
    }
}
std::unexpected<ImageError> cut_off() {
    return image_fail(truncated, "the xz payload is truncated");
}

bool is(const lzma_filter& filter, lzma_vli id) {
    return filter.id == id;
}

// Decodes one .xz stream into `out_`.
class XzStream {
   public:
    XzStream(std::span<const u8> in, std::span<u8> out, Scratch& scratch)
        : in_(in), out_(out), allocator_(lzma_allocator_of(scratch)), stream_(LZMA_STREAM_INIT) {
        stream_.allocator = &allocator_;
    }
    XzStream(const XzStream&) = delete;
    XzStream& operator=(const XzStream&) = delete;

    ImageResult<usize> run() {
        if (in_.size() < LZMA_STREAM_HEADER_SIZE) return cut_off();
        if (const lzma_ret r = lzma_stream_header_decode(&flags_, in_.data()); r != LZMA_OK) return failed(r);
        if (!lzma_check_is_supported(flags_.check))
            return image_fail(unsupported, "the xz payload's kind of check is not supported");
        in_at_ = LZMA_STREAM_HEADER_SIZE;
        index_ = lzma_index_hash_init(nullptr, &allocator_);
        if (index_ == nullptr) return failed(LZMA_MEM_ERROR);
        for (;;) {
            if (in_at_ == in_.size()) return cut_off();
            if (in_[in_at_] == 0) break;  // the index follows
            TRY(block());
        }
        TRY(index_and_footer());
        return out_at_;
    }

    // The first block's window, or the smallest one.
    u64 window() {
        lzma_block block{};
        lzma_filter filters[LZMA_FILTERS_MAX + 1];
        if (in_.size() <= LZMA_STREAM_HEADER_SIZE || lzma_stream_header_decode(&flags_, in_.data()) != LZMA_OK)
            return smallest_window;
        in_at_ = LZMA_STREAM_HEADER_SIZE;
        if (in_[in_at_] == 0 || !block_header(block, filters)) return smallest_window;
        for (const lzma_filter* f = filters; !is(*f, LZMA_VLI_UNKNOWN); ++f)
            if (is(*f, LZMA_FILTER_LZMA2)) return static_cast<const lzma_options_lzma*>(f->options)->dict_size;
        return smallest_window;
    }

   private:
    ImageResult<> block_header(lzma_block& block, lzma_filter (&filters)[LZMA_FILTERS_MAX + 1]) {
        block.version = 1;
        block.check = flags_.check;
        block.filters = filters;
        block.header_size = lzma_block_header_size_decode(u32{in_[in_at_]});
        if (block.header_size > in_.size() - in_at_) return cut_off();
        if (const lzma_ret r = lzma_block_header_decode(&block, &allocator_, in_.data() + in_at_); r != LZMA_OK) return failed(r);
        in_at_ += block.header_size;
        return {};
    }

    // A window larger than all output is never filled.
    void limit_windows(lzma_filter* filters) const {
        for (lzma_filter* f = filters; !is(*f, LZMA_VLI_UNKNOWN); ++f) {
            if (!is(*f, LZMA_FILTER_LZMA2)) continue;
            auto& options = *static_cast<lzma_options_lzma*>(f->options);
            const u64 useful = std::max<u64>(out_.size(), smallest_window);
            options.dict_size = static_cast<u32>(std::min<u64>(options.dict_size, useful));
        }
    }

    ImageResult<> block() {
        lzma_block block{};
        lzma_filter filters[LZMA_FILTERS_MAX + 1];
        TRY(block_header(block, filters));
        limit_windows(filters);

        const bool ours =
            is(filters[0], LZMA_FILTER_X86) && is(filters[1], LZMA_FILTER_LZMA2) && flags_.check != LZMA_CHECK_SHA256;
        u32 filter_start = 0;
        if (ours) {
            if (const auto* options = static_cast<const lzma_options_bcj*>(filters[0].options))
                filter_start = options->start_offset;
            block.filters = filters + 1;
            block.ignore_check = true;  // it covers the filtered bytes: verified below
        }
        const usize from = out_at_;
        TRY(decode(block));
        if (ours) {
            const auto bytes = out_.subspan(from, out_at_ - from);
            undo_x86_filter(bytes, filter_start);
            if (!check_holds(block, bytes)) return image_fail(corrupt, "the xz payload is corrupt (its checksum does not match)");
        }
        if (const lzma_ret r = lzma_index_hash_append(index_, lzma_block_unpadded_size(&block), block.uncompressed_size);
            r != LZMA_OK)
            return failed(r);
        return {};
    }

    ImageResult<> decode(lzma_block& block) {
        if (const lzma_ret r = lzma_block_decoder(&stream_, &block); r != LZMA_OK) return failed(r);
        stream_.next_in = in_.data() + in_at_;
        stream_.avail_in = in_.size() - in_at_;
        stream_.next_out = out_.data() + out_at_;
        stream_.avail_out = out_.size() - out_at_;
        lzma_ret r;
        do r = lzma_code(&stream_, LZMA_FINISH);
        while (r == LZMA_OK);
        if (r == LZMA_BUF_ERROR) {
            if (stream_.avail_in == 0) return cut_off();
            return image_fail(corrupt, "the xz payload is corrupt (it is longer than its length says)");
        }
        if (r != LZMA_STREAM_END) return failed(r);
        in_at_ = in_.size() - stream_.avail_in;
        out_at_ = out_.size() - stream_.avail_out;
        return {};
    }

    bool check_holds(const lzma_block& block, std::span<const u8> bytes) const {
        const std::span<const u8> stored(block.raw_check);
        switch (flags_.check) {
            case LZMA_CHECK_NONE: return true;
            case LZMA_CHECK_CRC32: return lzma_crc32(bytes.data(), bytes.size(), 0) == read_at<u32>(stored, 0);
            case LZMA_CHECK_CRC64: return lzma_crc64(bytes.data(), bytes.size(), 0) == read_at<u64>(stored, 0);
            default: return false;
        }
    }

    ImageResult<> index_and_footer() {
        const lzma_ret r = lzma_index_hash_decode(index_, in_.data(), &in_at_, in_.size());
        if (r == LZMA_OK || r == LZMA_BUF_ERROR) return cut_off();
        if (r != LZMA_STREAM_END) return failed(r);
        if (in_.size() - in_at_ < LZMA_STREAM_HEADER_SIZE) return cut_off();
        lzma_stream_flags footer{};
        if (const lzma_ret f = lzma_stream_footer_decode(&footer, in_.data() + in_at_); f != LZMA_OK)
            return failed(LZMA_DATA_ERROR);
        if (lzma_stream_flags_compare(&flags_, &footer) != LZMA_OK || footer.backward_size != lzma_index_hash_size(index_))
            return image_fail(corrupt, "the xz payload is corrupt (its footer does not match)");
        if (in_.size() - in_at_ != LZMA_STREAM_HEADER_SIZE) return image_fail(corrupt, "bytes follow the xz payload");
        return {};
    }

    std::span<const u8> in_;
    std::span<u8> out_;
    usize in_at_ = 0;
    usize out_at_ = 0;
    lzma_allocator allocator_;
    lzma_stream stream_;
    lzma_stream_flags flags_{};
    lzma_index_hash* index_ = nullptr;
};

}  // namespace

ImageResult<usize> decompress_xz(std::span<const u8> in, std::span<u8> out, Scratch& scratch) {
    scratch.reset();
    return XzStream(in, out, scratch).run();
}

u64 xz_window(std::span<const u8> in) {
    alignas(64) u8 area[1024];  // filter options of one block
    Scratch scratch(area);
    return XzStream(in, {}, scratch).window();
}

}  // namespace xylem::image
