// SPDX-License-Identifier: MIT
// An address space for user mode: the image's user text and a stack in the lower half, in a root of its own without the kernel.
#pragma once

#include "base/result.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/traps.hpp"

namespace xylem::kit {

class UserSpace {
   public:
    static constexpr u64 text_base = 0x400000, stack_base = 0x800000, stack_pages = 4;

    // Made, pinned and set as this vCPU's user root. The kernel's root has the same lower half, so that the kernel can look.
    static Result<UserSpace*> create();

    // Where something of the image's .user.text lies for programs.
    u64 address(const volatile void* in_image) const;
    u64 stack_top() const { return stack_base + stack_pages * page_size; }
    Frame frame(const volatile void* program) const { return user_frame(address(program), stack_top()); }
    u64* root() const { return root_; }
    // A page more; it is visible in both roots.
    Result<> map(u64 va, u64 entry) { return kit::map(va, entry); }

   private:
    u64* root_ = nullptr;
};

}  // namespace xylem::kit
