// SPDX-License-Identifier: MIT
#include "guest/kit/segments.hpp"

#include "guest/kit/calls.hpp"
#include "guest/kit/cpu.hpp"
#include "guest/kit/paging.hpp"

namespace xylem::kit {
namespace {

Gdt tables[max_vcpus];

Result<> answer(long r) {
    if (r < 0) return fail(static_cast<Errno>(-r));
    return {};
}

}  // namespace

Gdt& Gdt::of_this_cpu() {
    return tables[this_cpu().id];
}

Result<> Gdt::install(unsigned entries) {
    if (page_ == nullptr) page_ = TRY(new_table());  // as a table it must not be writable for us
    const unsigned long frame = frame_at(page_).raw;
    return answer(set_gdt(&frame, entries));
}

Result<> Gdt::set(unsigned index, u64 descriptor) {
    if (page_ == nullptr || index >= 512) return fail(XEN_EINVAL);
    return answer(update_descriptor(machine_address(&page_[index]).raw, descriptor));
}

Result<> Gdt::remove() {
    TRY(answer(set_gdt(nullptr, 0)));
    if (page_ != nullptr) give_back_table(page_);
    page_ = nullptr;
    return {};
}

long set_ldt(const void* entries, unsigned count) {
    return ext_op(MMUEXT_SET_LDT, word(entries), count);
}

}  // namespace xylem::kit
