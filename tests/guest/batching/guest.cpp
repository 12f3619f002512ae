// SPDX-License-Identifier: MIT
// What batches gain, counted in instructions (the machine counts one per nanosecond), and whom they blame for errors.
#include "guest/kit/cpu.hpp"
#include "guest/kit/memory.hpp"
#include "guest/kit/paging.hpp"
#include "guest/kit/segments.hpp"
#include "guest/kit/start.hpp"
#include "guest/kit/user.hpp"
#include "guest/lib/calls_batch.hpp"
#include "guest/lib/story.hpp"

using namespace xylem;
using namespace xylem::kit;

namespace {

batch::RealBatch lazy{batch::RealIssue{}};

template <class What>
u64 instructions(What&& what) {
    what();  // once to warm up
    const u64 from = tsc();
    what();
    return tsc() - from;
}

void page_tables() {
    const u64 va = reserve_window(512);
    void* const page = allocate_pages();
    for (u64 i = 0; i < 512; ++i)
        if (!map(va + i * page_size, pte::make(frame_at(page), pte::data))) story::error("no window");
    // Found beforehand, so that only the changes are counted.
    static u64* entry[512];
    static u64 at[512];
    for (u64 i = 0; i < 512; ++i) {
        entry[i] = find_entry(kernel_root(), va + i * page_size, 1);
        at[i] = machine_address(entry[i]).raw;
    }
    bool writable = false;
    const auto value = [&] { return pte::make(frame_at(page), writable ? pte::data : pte::read_only); };
    const u64 single = instructions([&] {
        writable = !writable;
        for (u64 i = 0; i < 512; ++i) {
            const mmu_update_t one{.ptr = at[i], .val = value()};
            if (call_mmu_update(&one, 1) != 0) story::error("mmu_update");
        }
    });
    const u64 batched = instructions([&] {
        writable = !writable;
        lazy.enter_lazy();
        for (u64 i = 0; i < 512; ++i) lazy.update("pte", at[i], value());
        if (!lazy.leave_lazy()) story::error("batch");
    });
    const u64 by_va = instructions([&] {
        writable = !writable;
        lazy.enter_lazy();
        for (u64 i = 0; i < 512; ++i) lazy.call("pte", __HYPERVISOR_update_va_mapping, va + i * page_size, value(), u64{0});
        if (!lazy.leave_lazy()) story::error("batch");
    });
    const u64 emulated = instructions([&] {
        writable = !writable;
        for (u64 i = 0; i < 512; ++i) store_entry(entry[i], value());
    });
    story::is("512 entries/batch is cheaper than single calls", batched < single);
    story::is("512 entries/single calls are cheaper than emulated stores", single < emulated);
    story::is("512 entries/they changed", (*entry[0] & pte::writable) == (writable ? pte::writable : 0));
    story::remark("512 entries: single {} instructions, batched mmu_update {}, batched update_va_mapping {}, emulated stores {}",
                  single, batched, by_va, emulated);
}

void context_switch() {
    const auto space = UserSpace::create();
    if (!space) story::error("no user space");
    const Mfn root = frame_at(kernel_root()), user_root = frame_at((*space)->root());
    Gdt& gdt = Gdt::of_this_cpu();
    if (!gdt.install()) story::error("no descriptor table");
    batch::SwitchTo to{
        .stack_top = this_cpu().user_stack_top, .root = root, .user_root = user_root, .tls = {}, .fpu_is_his = false};
    for (unsigned i = 0; i < 3; ++i) to.tls[i] = {machine_address(gdt.entry(6 + i)).raw, descriptor::data(0x1000 * (i + 1))};
    const u64 single = instructions([&] {
        stack_switch(flat_ss, to.stack_top);
        fpu_taskswitch(true);
        for (const auto& t : to.tls) update_descriptor(t.maddr, t.descriptor);
        set_root(root);
        set_user_root(user_root);
    });
    const u64 multicalls = lazy.stats().multicalls;
    const u64 batched = instructions([&] {
        if (!batch::switch_context(lazy, to)) story::error("switch");
    });
    story::is("switch/its thread descriptors are there", gdt.get(8) == descriptor::data(0x3000));
    story::equal("switch/hypercalls for two", static_cast<i64>(lazy.stats().multicalls - multicalls), 2);
    story::remark("context switch: seven calls {} instructions, one {}", single, batched);
}

void errors() {
    lazy.forget_error();
    lazy.enter_lazy();
    lazy.call("good", __HYPERVISOR_xen_version, u64{0}, u64{0});
    lazy.call("bad one", u64{63});
    lazy.call("bad two", __HYPERVISOR_set_debugreg, u64{8}, u64{0});
    story::equal("errors/nothing issued in lazy mode", lazy.pending(), 3);
    story::is("errors/the flush tells", !lazy.leave_lazy());
    story::is("errors/who", lazy.has_error() && std::string_view(lazy.first_error().tag) == "bad one");
    story::equal("errors/why", lazy.first_error().result, -static_cast<long>(XEN_ENOSYS));
    story::equal("errors/where", lazy.first_error().position, 1);
    story::equal("errors/how many", static_cast<i64>(lazy.stats().failures), 2);
    lazy.forget_error();
    story::is("errors/outside lazy mode a call is issued at once",
              lazy.call("now", __HYPERVISOR_xen_version, u64{0}, u64{0}) && lazy.pending() == 0);
}

}  // namespace

void kit::guest_main() {
    page_tables();
    context_switch();
    errors();
    story::end();
}
