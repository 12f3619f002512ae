// SPDX-License-Identifier: MIT
// Errors are values. `Errno` holds the numbers of <xen/errno.h> (abi/errno.hpp), because every error of ours may reach a guest.
#pragma once

#include <expected>
#include <utility>

namespace xylem {

enum class Errno : int;

template <class T = void>
using Result = std::expected<T, Errno>;

using Failure = std::unexpected<Errno>;

constexpr Failure fail(Errno e) {
    return Failure(e);
}

}  // namespace xylem

// TRY(expression): the value of a Result, or return its error from the enclosing function.
#define TRY(...)                                           \
    __extension__({                                        \
        auto&& try_result_ = (__VA_ARGS__);                \
        if (!try_result_) [[unlikely]]                     \
            return ::std::unexpected(try_result_.error()); \
        ::xylem::detail::unwrap(::std::move(try_result_)); \
    })

namespace xylem::detail {
template <class T>
constexpr T unwrap(std::expected<T, Errno>&& r) {
    if constexpr (!std::is_void_v<T>) return *std::move(r);
}
}  // namespace xylem::detail
