// SPDX-License-Identifier: MIT
// Why a boot module is not a kernel that can be started: a class for code, a sentence for people.
#pragma once

#include <expected>

#include "base/result.hpp"
#include "base/types.hpp"

namespace xylem::image {

enum class ImageFault : u8 {
    not_a_kernel,   // neither bzImage, ELF nor gzip; or an ELF that is no x86-64 program
    truncated,      // the bytes end before the image does
    corrupt,        // a check or a structure inside does not hold
    unsupported,    // well formed, but of a kind we do not read
    no_memory,      // the caller's scratch or output area is too small
    not_pv,         // a kernel without the notes of a PV guest
    contradictory,  // notes or segments that cannot all be true, or that collide with the hypervisor
};

struct ImageError {
    ImageFault fault;
    const char* what;  // static text, one sentence without a full stop; the log puts "dom0 kernel: " in front
};

template <class T = void>
using ImageResult = std::expected<T, ImageError>;

constexpr std::unexpected<ImageError> image_fail(ImageFault fault, const char* what) {
    return std::unexpected(ImageError{fault, what});
}

}  // namespace xylem::image

namespace xylem::detail {
// Lets TRY() pass an ImageError on.
template <class T>
constexpr T unwrap(std::expected<T, image::ImageError>&& r) {
    if constexpr (!std::is_void_v<T>) return *std::move(r);
}
}  // namespace xylem::detail
