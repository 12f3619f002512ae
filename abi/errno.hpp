// SPDX-License-Identifier: MIT
// The error numbers of the guest ABI [xen/errno.h].
#pragma once

#include "base/result.hpp"

namespace xylem {

enum class Errno : int {
#define XEN_ERRNO(name, value) XEN_##name = value,
#include <xen/errno.h>
};
using enum Errno;  // XEN_EINVAL, ...; the prefix keeps libc's macros out of host builds

// A hypercall's answer: a non-negative number, or minus an errno.
constexpr long to_hypercall_result(Errno e) {
    return -static_cast<long>(e);
}

}  // namespace xylem
