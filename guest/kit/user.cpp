// SPDX-License-Identifier: MIT
#include "guest/kit/user.hpp"

#include "guest/kit/calls.hpp"

extern "C" const char kit_user_text_begin[], kit_user_text_end[];

namespace xylem::kit {
namespace {

constexpr u64 text_rights = pte::read_only & ~pte::no_execute;

}  // namespace

u64 UserSpace::address(const volatile void* in_image) const {
    return word(in_image) - word(kit_user_text_begin) + text_base;
}

Result<UserSpace*> UserSpace::create() {
    static UserSpace only;
    if (only.root_ != nullptr) return &only;
    for (u64 at = word(kit_user_text_begin); at < word(kit_user_text_end); at += page_size)
        TRY(kit::map(only.address(reinterpret_cast<void*>(at)), pte::make(frame_at(reinterpret_cast<void*>(at)), text_rights)));
    for (u64 i = 0; i < stack_pages; ++i) {
        void* const page = allocate_pages();
        if (page == nullptr) return fail(XEN_ENOMEM);
        TRY(kit::map(stack_base + i * page_size, pte::make(frame_at(page), pte::data)));
    }
    // The user root shares the kernel's table of the lower half.
    u64* const root = TRY(new_table());
    if (const long r = pin(frame_at(root), 4); r < 0) return fail(static_cast<Errno>(-r));
    TRY(set_entry(&root[0], kernel_root()[0] & (pte::address | pte::table)));
    if (const long r = set_user_root(frame_at(root)); r < 0) return fail(static_cast<Errno>(-r));
    only.root_ = root;
    return &only;
}

}  // namespace xylem::kit
