// SPDX-License-Identifier: MIT
// What ends a domain, and nothing else: frames that cannot be pushed, modes that cannot be entered [ABI 2.1]. And the kit's own
// report.
#include "guest/kit/calls.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/start.hpp"
#include "guest/kit/user.hpp"
#include "guest/lib/story.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

asm(".pushsection .user.text, \"ax\"; .globl user_call; user_call: syscall; .popsection");
extern "C" const char user_call[];

void on_stack(u64 rsp) {
    asm volatile("mov %0, %%rsp; ud2" ::"r"(rsp) : "memory");
}

volatile u64 after_the_fall;

// Callers for the report to name.
[[gnu::noinline]] void fall(int depth) {
    if (depth > 0) {
        fall(depth - 1);
    } else {
        asm volatile("mov $0x1122334455667788, %%r15; ud2" ::: "r15");
    }
    after_the_fall = after_the_fall + 1;  // so that the call is not a jump
}

}  // namespace

void kit::guest_main() {
    const std::string_view what = option("case");
    print("crashes: {}", what);
    if (what == "report") fall(3);
    if (what == "no-user-root") {
        Frame f = user_frame(0x400000, 0x800000);
        run_user(f);
    }
    if (what == "kernel-stack-hypervisor") on_stack(0xffff830000001000);
    if (what == "kernel-stack-unmapped") on_stack(0x7f0000001000);
    if (what == "kernel-stack-read-only") on_stack(word(kernel_root()) + 2048);
    if (what == "entry-stack-unmapped") {
        const auto space = UserSpace::create();
        if (!space) story::error("no user space");
        stack_switch(flat_ss, 0x7f0000001000);
        Frame f = (*space)->frame(user_call);
        run_user(f);
    }
    if (what == "no-handler") {
        set_trap_table(nullptr);
        asm volatile("ud2");
    }
    if (what == "iret-frame-unmapped")
        asm volatile("mov %0, %%rsp; mov $23, %%eax; syscall" ::"r"(u64{0x7f0000001000}) : "memory");
    if (what == "shutdown") {
        sched_shutdown_t s{.reason = SHUTDOWN_crash};
        sched_op(SCHEDOP_shutdown, &s);
    }
    print("crashes: still here");
    story::end();
}
