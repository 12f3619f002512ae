// SPDX-License-Identifier: MIT
// The page of calls that older kernels ask for: filled before the first instruction, 32 bytes each [ABI 1.4].
#include "guest/kit/calls.hpp"
#include "guest/kit/start.hpp"
#include "guest/lib/story.hpp"

using namespace xylem;
using namespace xylem::kit;

extern "C" u8 hypercall_page[];

namespace {

long through_page(u64 number, u64 a, u64 b) {
    long result;
    const u64 entry = word(hypercall_page) + number * 32;
    asm volatile("call *%[entry]" : "=a"(result), "+D"(a), "+S"(b) : [entry] "r"(entry) : "memory", "rcx", "r11");
    return result;
}

}  // namespace

void kit::guest_main() {
    story::equal_hex("version", static_cast<u64>(through_page(__HYPERVISOR_xen_version, XENVER_version, 0)), 0x40011);
    story::equal("page size", through_page(__HYPERVISOR_xen_version, XENVER_pagesize, 0), 4096);
    story::answers("a number that is none", through_page(63, 0, 0), XEN_ENOSYS);
    story::succeeds("yield", through_page(__HYPERVISOR_sched_op, SCHEDOP_yield, 0));
    for (const unsigned number : {0u, 23u, 29u, 63u, 127u}) {
        text::FixedText<40> name, bytes;
        text::format(name, "bytes of {}", number);
        for (unsigned i = 0; i < 16; ++i) text::format(bytes, "{:02x}", hypercall_page[number * 32 + i]);
        story::show_text(name.view(), bytes.view());
    }
    story::end();
}
